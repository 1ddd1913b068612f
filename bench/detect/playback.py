"""A trace through a real :class:`signals.SignalBank` on virtual time, at compiled speed.

*Rule of this file*: order of events and ticks; what is made of the readings is the
sections' business.

*How*: arrivals and ends are sorted into one list; between them the bank is
ticked every 50 ms, as the proxy does, and chosen readings are kept for each tick.
The loop is compiled because a trace of 6 h has 430,000 ticks; the kernels it
calls are those of the proxy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from bench.detect.traces import Trace
from signals import SignalBank, summary
from signals.events import ANSWERED, FAILED, UNMARKED, arrive, note, pass_time
from signals.memory import Shared

TICK_NS = 50_000_000
S = 1_000_000_000

ARRIVAL = -1
"""Kind of event; ends have the codes of :mod:`signals.events`."""

SILENT_S = 0.1
"""Duration of a call whose recording tells none."""

INDEX = {name: idx for idx, (name, _) in enumerate(summary.READINGS)}
"""Row of a reading by name."""

Array = npt.NDArray[Any]


class Events(NamedTuple):
    """Arrivals and ends in order of time; ``call`` links an end to its arrival."""

    at_ns: Array
    kind: Array
    call: Array
    flow: Array
    fingerprint: Array
    marked: Array
    family: Array


@numba.njit(fastmath=False)
def _loop(
    root: Any,
    readings: Array,
    events: Events,
    handles: Array,
    stop_ns: int,
    rows: Array,
    kept: Array,
) -> int:
    tick_ns = TICK_NS
    n_ticks = 0
    boundary_ns = -(1 << 62)
    for idx in range(len(events.at_ns) + 1):
        is_last = idx == len(events.at_ns) or events.at_ns[idx] > stop_ns
        now_ns = stop_ns if is_last else events.at_ns[idx]
        while tick_ns <= now_ns:
            boundary_ns = pass_time(root, tick_ns, True)
            for k in range(len(rows)):
                kept[n_ticks, k] = readings[rows[k]]["value"]
            n_ticks += 1
            tick_ns += TICK_NS
        if is_last:
            break
        if now_ns >= boundary_ns:
            boundary_ns = pass_time(root, now_ns, False)
        call = events.call[idx]
        if events.kind[idx] == ARRIVAL:
            flow = events.flow[idx]
            handles[call] = arrive(
                root,
                now_ns,
                0,
                flow,
                0,
                events.fingerprint[idx],
                events.marked[idx],
                events.family[idx],
                flow != 0,
                0,
            )
        else:
            note(root, events.kind[idx], now_ns, handles[call], 0)
    return n_ticks


def order(
    at_s: Array,
    latency_s: Array,
    has_failed: Array,
    flow: Array,
    fingerprint: Array,
    marked: Array | None = None,
    family: Array | None = None,
) -> Events:
    """Return calls as events in order of time; an end at its arrival's instant comes after it."""
    n = len(at_s)
    start_ns = (at_s * S).astype(np.int64)
    stop_ns = start_ns + (latency_s * S).astype(np.int64)
    at_ns = np.concatenate([start_ns, stop_ns])
    ends = np.where(has_failed, FAILED, ANSWERED)
    kind = np.concatenate([np.full(n, ARRIVAL), ends]).astype(np.int64)
    by_time = np.lexsort((kind != ARRIVAL, at_ns))
    call = np.concatenate([np.arange(n), np.arange(n)])[by_time]
    unmarked = np.full(n, UNMARKED, np.int64)
    return Events(
        at_ns[by_time],
        kind[by_time],
        call,
        flow[call].astype(np.int64),
        fingerprint[call].astype(np.float64),
        (unmarked if marked is None else marked)[call].astype(np.int64),
        (np.zeros(n, np.int64) if family is None else family)[call].astype(np.int64),
    )


def has_failed(trace: Trace) -> Array:
    """Return which calls of a recording failed: 408, 409, 429, >= 500."""
    found: Array = np.isin(trace.status, (408, 409, 429)) | (trace.status >= 500)
    return found


def events_of(trace: Trace, failed: Array | None = None) -> Events:
    """Return a recording's calls as events; ``failed`` in place of the recorded statuses."""
    latency_s = np.where(np.isnan(trace.latency_s), SILENT_S, trace.latency_s)
    return order(
        trace.t_s,
        latency_s,
        has_failed(trace) if failed is None else failed,
        trace.flow,
        trace.fingerprint,
    )


def play(
    events: Events, stop_s: float, names: tuple[str, ...], n_flows: int = 0
) -> tuple[SignalBank, dict[str, Array]]:
    """Play events into a new bank; return it and the named readings at each tick.

    Parameters
    ----------
    stop_s : float
        What comes later is left out.
    n_flows : int
        Size of the identity table; by default as many as there are flows.
    """
    n_flows = n_flows or int(events.flow.max(initial=0)) + 1
    bank = SignalBank(n_flows, Shared(65_536))
    rows = np.array([INDEX[name] for name in names])
    stop_ns = int(stop_s * S)
    kept = np.zeros((stop_ns // TICK_NS + 1, len(names)), np.float32)
    handles = np.zeros(len(events.at_ns), np.int64)
    n = _loop(bank.root, bank.state.readings, events, handles, stop_ns, rows, kept)
    bank.tick(stop_ns)
    return bank, {name: kept[:n, k] for k, name in enumerate(names)}

"""Recorded call trees with faults injected on record: who was broken, when, and who was named.

*Rule of this file*: reading the recordings, playing them through the kernels,
and scoring. What is shown is :mod:`bench.detect.propagation`'s.

*The recordings* (Nezha: a web shop and a booking system) have holes of minutes
to hours between stretches of one to three minutes around each fault. A hole is
no silence; it is played as one of at most ``HOLE_S``.

*Usable* is a fault whose instant is recorded with 30 s before and 20 s after.
"""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from signals.nesting import begin_nested, end_nested, make_nesting, make_roots, note_caller
from signals.owntime import N_HISTORY, SECOND_NS, make_services
from signals.propagation import count_own, make_propagation, note_visit, pass_seconds
from signals.state import EPOCH_NS, make_calls

Array = npt.NDArray[Any]

HOLE_S = 240.0
"""As long as nothing joins the past after a name, so that no hole hides a restart of learning."""

BEFORE_S, AFTER_S = 30.0, 20.0
"""Recorded time around a fault that makes it usable."""

FAULT_S = 240
"""A name within this time of an injection belongs to the fault."""

DELAYS_S = (5, 7, 12, 22, 60)

CALLER_KNOWN, BY_NESTING, INCLUSIVE = "caller known", "by nesting", "inclusive time"

NOBODY = -1


class Fault(NamedTuple):
    """One injection, on the clock of the recording."""

    at_s: float
    service: int
    name: str
    kind: str
    is_usable: bool


class Recording(NamedTuple):
    """Calls between services, in order of their beginning."""

    name: str
    start_s: Array
    stop_s: Array
    caller: Array
    """Index of the calling service, -1 outside."""
    service: Array
    tree: Array
    parent: Array
    """Row of the parent, -1 none: the truth."""
    services: tuple[str, ...]
    faults: tuple[Fault, ...]
    covered: Array
    """Whole seconds of the recording with a call, sorted."""


class Timeline(NamedTuple):
    """What was read at the end of each played second."""

    second: Array
    """On the clock of the recording; -1 inside holes."""
    named: Array
    z: Array
    kind: Array
    early: Array
    flows: Array
    trees: Array
    parents: Array
    """Row of the parent that nesting found, by call; -1 none."""


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return a table's rows."""
    text = path.read_bytes()
    text = gzip.decompress(text) if path.suffix == ".gz" else text
    return list(csv.DictReader(text.decode().splitlines()))


def read_recording(folder: Path, name: str) -> Recording | None:
    """Return a recording; None where it is absent."""
    path = folder / f"{name}.csv.gz"
    if not path.exists():
        return None
    rows = read_rows(path)
    injected = read_rows(folder / f"{name}_faults.csv")
    names = {row["target"] for row in rows} | {row["agent"] for row in rows}
    services = tuple(sorted((names | {row["service"] for row in injected}) - {""}))
    number = {service: idx for idx, service in enumerate(services)} | {"": NOBODY}
    start_s = np.array([float(row["t_s"]) for row in rows])
    span = {row["span"]: idx for idx, row in enumerate(rows)}
    covered = np.unique(np.floor(start_s).astype(np.int64))
    faults = []
    for row in injected:
        at_s = float(row["t_s"])
        before = np.count_nonzero((covered >= at_s - BEFORE_S - 1) & (covered < at_s - 1))
        after = np.count_nonzero((covered >= at_s) & (covered <= at_s + AFTER_S))
        is_usable = bool(before >= 0.9 * BEFORE_S and after >= 0.9 * AFTER_S)
        faults.append(Fault(at_s, number[row["service"]], row["service"], row["fault"], is_usable))
    return Recording(
        name,
        start_s,
        start_s + np.array([float(row["latency_s"]) for row in rows]),
        np.array([number[row["agent"]] for row in rows]),
        np.array([number[row["target"]] for row in rows]),
        np.array([int(row["session"]) for row in rows]) % 65_535 + 1,
        np.array([span.get(row["parent_span"], NOBODY) for row in rows]),
        services,
        tuple(faults),
        covered,
    )


@numba.njit(fastmath=False)
def _play(
    at_ns: Array,
    is_start: Array,
    row: Array,
    recording: tuple[Array, Array, Array],
    caller_known: bool,
    memory: tuple[Array, Array, Array, Array, Array],
    rows: Array,
    parents: Array,
) -> None:
    """Feed events in order of time; keep what is read at the end of each second."""
    caller, service, tree = recording
    calls, nesting, roots, services, propagation = memory
    n_rows = 0
    for event in range(len(at_ns)):
        t_ns = at_ns[event]
        target = t_ns // SECOND_NS
        if propagation[0]["has_started"] == 0:
            pass_seconds(services, propagation, t_ns)
        while propagation[0]["second"] < target:
            pass_seconds(services, propagation, (propagation[0]["second"] + 1) * SECOND_NS)
            p = propagation[0]
            if n_rows < len(rows):
                r = rows[n_rows]
                r[0] = p["second"]
                r[1] = p["named"]
                r[2] = p["z"]
                r[3] = p["kind"]
                r[4] = p["early"]
                r[5] = p["flows"]
                r[6] = p["trees"]
                n_rows += 1
        idx = row[event] + 1
        if is_start[event]:
            c = calls[idx]
            c["upstream"] = service[idx - 1]
            c["flow"] = caller[idx - 1] + 2
            c["tenant"] = 1
            c["tree"] = tree[idx - 1]
            c["arrived_ns"] = t_ns
            begin_nested(nesting, roots, calls, t_ns, idx)
            note_visit(services, roots, calls, t_ns, idx)
            parents[idx - 1] = nesting[idx]["parent"] - 1
            if caller_known and caller[idx - 1] >= 0:
                note_caller(nesting, calls, t_ns, idx, caller[idx - 1])
        else:
            count_own(services, nesting, calls, t_ns, idx)
            end_nested(nesting, roots, t_ns, idx)


def play(
    recording: Recording,
    who: str = CALLER_KNOWN,
    n_history: int = N_HISTORY,
    hole_s: float = HOLE_S,
) -> Timeline:
    """Play a recording through the kernels.

    Parameters
    ----------
    who : str
        What is known of the caller of a call; ``INCLUSIVE``: no trees either.
    n_history : int
        Length of the past, in tens of seconds.
    hole_s : float
        Holes longer than this are shortened to it.
    """
    n = len(recording.start_s)
    at_s = np.concatenate([recording.start_s, recording.stop_s])
    order = np.lexsort((np.repeat([1, 0], n), at_s))
    gaps = np.minimum(np.diff(at_s[order], prepend=at_s[order[0]]), hole_s)
    played_s = np.cumsum(gaps)
    shift_s = np.floor(at_s[order]) - np.floor(played_s)
    at_ns = EPOCH_NS + np.round(played_s * 1e9).astype(np.int64)
    tree = np.zeros_like(recording.tree) if who == INCLUSIVE else recording.tree
    memory = (
        make_calls(n + 1),
        make_nesting(n + 1),
        make_roots(65_536),
        make_services(len(recording.services)),
        make_propagation(n_history),
    )
    rows = np.zeros((int(played_s[-1]) + 2, 7))
    parents = np.full(n, NOBODY)
    _play(
        at_ns,
        order < n,
        np.where(order < n, order, order - n),
        (recording.caller, recording.service, tree),
        who == CALLER_KNOWN,
        memory,
        rows,
        parents,
    )
    rows = rows[rows[:, 0] > 0]
    inner = rows[:, 0].astype(np.int64) - EPOCH_NS // SECOND_NS
    place = np.clip(np.searchsorted(played_s, inner), 0, len(shift_s) - 1)
    second = inner + shift_s[place].astype(np.int64)
    found = np.isin(second, recording.covered) | np.isin(second - 1, recording.covered)
    columns = [rows[:, idx] for idx in range(1, 7)]
    return Timeline(
        np.where(found, second, -1),
        columns[0].astype(np.int64),
        columns[1],
        columns[2].astype(np.int64),
        columns[3].astype(np.int64),
        columns[4],
        columns[5],
        parents,
    )


class Verdict(NamedTuple):
    """One fault and who was named."""

    fault: Fault
    before: int
    """Who stood named when it was injected."""
    first: int
    """The first service named within 60 s; what stood before counts."""
    first_s: int
    at: tuple[int, ...]
    """Who is shown after each of ``DELAYS_S``: the named one, else the early one."""
    final: int
    """Who stands named 60 s after, or where the recording ends before."""


def judge_fault(line: Timeline, fault: Fault) -> Verdict:
    """Return who was named after a fault."""
    at = int(np.floor(fault.at_s))
    known = np.flatnonzero(line.second >= 0)
    seconds = line.second[known]

    def find(second: int) -> int:
        return int(known[max(0, int(np.searchsorted(seconds, second, side="right")) - 1)])

    shown = np.where(line.named >= 0, line.named, line.early)
    low, high = find(at), find(at + 60)
    inside = known[(known > low) & (known <= high)]
    named = inside[line.named[inside] >= 0]
    first = int(line.named[named[0]]) if len(named) else NOBODY
    first_s = int(line.second[named[0]]) - at if len(named) else -1
    shows = tuple(int(shown[find(at + delay)]) if high > low else NOBODY for delay in DELAYS_S)
    final = int(line.named[high]) if high > low else NOBODY
    return Verdict(fault, int(line.named[low]), first, first_s, shows, final)


def count_outside(recording: Recording, line: Timeline) -> tuple[int, float]:
    """Return how many names begin outside the time of faults, and those hours."""
    is_fault = np.zeros(len(line.second), bool)
    for fault in recording.faults:
        is_fault |= (line.second >= fault.at_s) & (line.second < fault.at_s + FAULT_S)
    outside = (line.second >= 0) & ~is_fault
    begins = (line.named >= 0) & (line.named != np.concatenate([[NOBODY], line.named[:-1]]))
    return int(np.count_nonzero(begins & outside)), float(np.count_nonzero(outside)) / 3600.0

"""The one compiled entrance: an arrival, a failure or a tick, in the order detectors see it.

*Rule of this file*: the order of work within an event.

*Cost*: about 30 ns inside; the call from Python costs ten times that, which is
why there is one call per event, on two arrays that live as long as the bank.
One kernel for all three kinds loads in a third of the time of three.
"""

from __future__ import annotations

from numba import types

from signals.kernel import kernel, part
from signals.retry import ATTEMPT_MAX, count_retrying, keep_failure, take_failure
from signals.state import (
    BANK,
    BUCKET_NS,
    FLOWS,
    FRESH,
    N_GAPS,
    N_SCALES,
    RETRY,
    Records,
    read_clock,
)
from signals.summary import summarise
from signals.synchrony import classify_gap
from signals.windows import advance

ARRIVAL, FAILURE, TICK = 0, 1, 2
"""Kinds of event."""

UNMARKED = -1
"""The attempt of an arrival whose headers say nothing: infer it."""


@part
def count_arrival(
    bank: Records,
    flows: Records,
    t_ns: int,
    flow: int,
    fingerprint: float,
    marked_attempt: int,
    is_identified: bool,
) -> int:
    """Count one arrival in every signal; return its attempt, 0 for fresh demand.

    Parameters
    ----------
    flow : int
        Index in the identity table; 0, or anything outside it, is 'unknown'.
    fingerprint : float
        The 64-bit fingerprint; any Python int is taken, signed or not, and
        compared by its leading 53 bits (two shapes of one flow collide with
        chance 2**-53).
    marked_attempt : int
        What a header said; ``UNMARKED`` to infer.
    """
    s = bank[0]
    who = flow if 0 < flow < len(flows) else 0
    gap_ns = t_ns - s["last_arrival_ns"]
    s["gaps"][s["n_gaps"] % N_GAPS] = gap_ns
    s["n_gaps"] += 1
    s["last_arrival_ns"] = t_ns
    s["open_arrivals"] += 1
    s["n_arrivals"] += 1
    if who == 0 or not is_identified:
        s["open_unidentified"] += 1
    scale = N_SCALES - 1 if who == 0 else classify_gap(t_ns - flows[who]["last_ns"])
    if scale >= 0:
        s["open_fresh"][FRESH, scale] += 1
    flows[who]["last_ns"] = t_ns

    attempt = 0
    if marked_attempt != 0 and who != 0:
        attempt = take_failure(flows, who, fingerprint, t_ns)
    if marked_attempt >= 0:
        attempt = min(marked_attempt, ATTEMPT_MAX)
    if attempt > 0:
        previous_ns = flows[who]["last_retry_ns"]
        scale = N_SCALES - 1 if who == 0 else classify_gap(t_ns - previous_ns)
        if scale >= 0:
            s["open_fresh"][RETRY, scale] += 1
        s["open_retries"] += 1
        s["n_retries"] += 1
        count_retrying(bank, t_ns // BUCKET_NS, previous_ns // BUCKET_NS)
        flows[who]["last_retry_ns"] = t_ns
    return attempt


@part
def count_failure(
    bank: Records, flows: Records, t_ns: int, flow: int, fingerprint: float, attempt: int
) -> None:
    """Count one call's failure and remember it, to recognise its retry."""
    s = bank[0]
    s["open_failures"] += 1
    s["n_failures"] += 1
    if 0 < flow < len(flows):
        keep_failure(flows, flow, fingerprint, attempt, t_ns)


@kernel(
    types.int64(
        BANK,
        FLOWS,
        types.int64,
        types.int64,
        types.int64,
        types.float64,
        types.int64,
        types.boolean,
    )
)
def observe(
    bank: Records,
    flows: Records,
    kind: int,
    now_ns: int,
    flow: int,
    fingerprint: float,
    attempt: int,
    flag: bool,
) -> int:
    """Take one event in; return an arrival's attempt, else 0.

    Parameters
    ----------
    kind : int
        ``ARRIVAL``, ``FAILURE`` or ``TICK`` (which uses ``now_ns`` only).
    attempt, flag : int, bool
        Of an arrival: what a header said, and whether the flow is identified.
        Of a failure: its attempt, and nothing.
    """
    t_ns = read_clock(bank, now_ns)
    advance(bank, t_ns)
    if kind == ARRIVAL:
        return count_arrival(bank, flows, t_ns, flow, fingerprint, attempt, flag)
    if kind == FAILURE:
        count_failure(bank, flows, t_ns, flow, fingerprint, attempt)
    else:
        summarise(bank)
    return 0

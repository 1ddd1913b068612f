"""The compiled entrances: an arrival, what happens to a call later, a quota, and time.

*Rule of this file*: the order in which detectors see an event.

*Theory*: before an event is handled, all buckets that ended before it are
closed (:func:`pass_time`), so an event only ever touches what is open, and it
makes no difference when, or how often, time is passed in between.

*Cost*: a few hundred nanoseconds inside; 0.15-0.2 us more from Python, 15 ns of
it for each number handed over (:mod:`signals.number`). Several kernels
rather than one so that the request's path loads and touches little code.
"""

from __future__ import annotations

from numba import types

from signals.arrivals import begin_call, count_arrival, count_retry, join_others, take_back
from signals.calls import ATTEMPT_BITS, UNOBSERVED, find_call, open_call
from signals.endings import (
    ANSWERED,
    CALLER,
    FAILED,
    FIRST_BYTE,
    GONE,
    LEFT,
    PARENT,
    REFUSED,
    begin_reply,
    count_end,
    count_leave,
)
from signals.families import N_FAMILIES, UNKNOWN
from signals.fanout import link_parent
from signals.kernel import kernel
from signals.memory import ROOT, open_state
from signals.nesting import note_caller
from signals.number import NUMBER, as_int
from signals.quota import note_quota
from signals.recognition import recognise
from signals.rows import NO_ROW, take_row
from signals.saturation import count_offered
from signals.shape import FRESH_NS, count_demand
from signals.state import BUCKET_NS, read_clock
from signals.summary import summarise
from signals.windows import advance

__all__ = [
    "ANSWERED",
    "CALLER",
    "FAILED",
    "FIRST_BYTE",
    "GONE",
    "LEFT",
    "PARENT",
    "REFUSED",
    "UNMARKED",
    "arrive",
    "note",
    "pass_time",
    "tell_quota",
]

UNMARKED = -1
"""The attempt of an arrival whose headers say nothing: infer it."""


@kernel(types.int64(*[NUMBER] * 10))
def arrive(
    root: int,
    now_ns: int,
    tenant: int,
    flow: int,
    tree: int,
    fingerprint: int,
    marked_attempt: int,
    family: int,
    is_identified: bool,
    patience_ns: int,
) -> int:
    """Take an arrival in; return its handle, with its attempt in the low bits.

    Parameters
    ----------
    tenant, flow, tree : int
        Indices in the identity tables; 0, or anything outside, is 'unknown'.
    fingerprint : int
        The 64-bit fingerprint; any Python int is taken, signed or not, and
        compared by its leading 53 bits (two shapes of one flow collide with
        chance 2**-53).
    marked_attempt : int
        What a header said; ``UNMARKED`` to infer.
    family : int
        Index in ``signals.families.FAMILIES``, 0 if unknown.
    patience_ns : int
        How long the caller said it waits for a first byte, 0 if unknown.
    """
    state = open_state(as_int(root))
    t_ns = read_clock(state.process, as_int(now_ns))
    known, of_family, shape = as_int(flow), as_int(family), float(as_int(fingerprint))
    upstream = state.bank[0]["upstream"]
    known = known if 0 < known < state.bank[0]["n_flows"] else 0
    row = take_row(state.process, state.row_heads, state.flows, state.agents, upstream, known, t_ns)
    who = known if row != NO_ROW else 0
    silent_ns = FRESH_NS if row == NO_ROW else t_ns - state.flows[row]["last_ns"]
    count_arrival(state, t_ns, row, as_int(is_identified) != 0)
    told = of_family if 0 <= of_family < N_FAMILIES else UNKNOWN
    attempt, found = recognise(
        state.flows,
        state.calibration,
        state.recognition,
        row,
        shape,
        as_int(marked_attempt),
        told,
        t_ns,
    )
    if found >= 0:
        take_back(state, t_ns, row, found, attempt > 0)
    count_demand(state.shape, silent_ns, attempt > 0)
    if attempt > 0:
        count_retry(state, t_ns, row)
    state.flows[row]["tenant"] = as_int(tenant)
    state.flows[row]["tree"] = as_int(tree)
    idx = open_call(state.process, state.calls)
    state.headroom[0]["open_arrivals"] += 1
    n_met = count_offered(state.saturation, idx != UNOBSERVED)
    if idx != UNOBSERVED:
        begin_call(state, t_ns, idx, as_int(tenant), who, row, as_int(tree), told, shape)
        c = state.calls[idx]
        c["attempt"] = attempt
        c["patience_ns"] = as_int(patience_ns)
        c["n_met"] = n_met
        join_others(state, t_ns, idx, of_family)
    return (idx << ATTEMPT_BITS) | attempt


@kernel(types.int64(*[NUMBER] * 5))
def note(root: int, kind: int, now_ns: int, handle: int, value: int) -> int:
    """Take note of what happened to an open call; a handle that is not open changes nothing.

    Parameters
    ----------
    kind : int
        How it ended (``ANSWERED``, ``FAILED``, ``REFUSED``, ``GONE``), or
        ``FIRST_BYTE``, ``LEFT``, ``PARENT``, ``CALLER``.
    value : int
        With ``FAILED`` and ``REFUSED``: for how long the caller was asked to stay
        away, 0 if it was not told. With ``PARENT``: a flow. With ``CALLER``: an
        upstream.

    Returns
    -------
    int
        1 if the call was open, else 0.
    """
    state = open_state(as_int(root))
    t_ns = read_clock(state.process, as_int(now_ns))
    idx, what = find_call(state.calls, as_int(handle)), as_int(kind)
    if idx == UNOBSERVED:
        return 0
    if what <= GONE:
        count_end(state, t_ns, idx, what, as_int(value))
    elif what == FIRST_BYTE:
        begin_reply(state, t_ns, idx)
    elif what == LEFT:
        count_leave(state, t_ns, idx)
    elif what == PARENT:
        c = state.calls[idx]
        link_parent(state.trees, state.agents, c["tree"], c["flow"], as_int(value))
    elif what == CALLER:
        note_caller(state.nesting, state.calls, t_ns, idx, as_int(value))
    return 1


@kernel(
    types.int64(
        ROOT,
        types.int64,
        types.int64,
        types.int64,
        types.float64,
        types.float64,
        types.int64,
    )
)
def tell_quota(
    root: int,
    now_ns: int,
    tenant: int,
    kind: int,
    limit: float,
    remaining: float,
    reset_ns: int,
) -> int:
    """Take in what a provider said is left of a quota; see :func:`signals.quota.note_quota`."""
    state = open_state(root)
    t_ns = read_clock(state.process, now_ns)
    note_quota(state.quotas, t_ns, tenant, kind, limit, remaining, reset_ns)
    return 0


@kernel(types.int64(ROOT, types.int64, types.boolean))
def pass_time(root: int, now_ns: int, is_tick: bool) -> int:
    """Close every bucket that has ended; on a tick renew the readings.

    Returns
    -------
    int
        The instant, on the caller's clock, at which the open bucket ends.
    """
    state = open_state(root)
    t_ns = read_clock(state.process, now_ns)
    advance(state, t_ns)
    if is_tick:
        summarise(state)
    return int((state.bank[0]["bucket"] + 1) * BUCKET_NS - state.process[0]["shift_ns"])

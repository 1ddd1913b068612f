"""The three compiled entrances: an arrival, what happens to a call later, and time.

*Rule of this file*: the order in which detectors see an event.

*Theory*: before an event is handled, all buckets that ended before it are
closed (:func:`pass_time`), so an event only ever touches what is open, and it
makes no difference when, or how often, time is passed in between.

*Cost*: tens of nanoseconds inside; the call from Python costs several times
that, 20-40 ns for each number handed over. Three kernels rather than one so
that the request's path loads and touches little code.
"""

from __future__ import annotations

from numba import types

from signals.calls import ATTEMPT_BITS, UNOBSERVED, close_call, find_call, open_call
from signals.contention import join_tenant, part_tenant, suffer
from signals.families import N_FAMILIES, UNKNOWN
from signals.fanout import join_tree, link_parent, part_from_tree
from signals.forecast import (
    note_arrival,
    note_drop,
    note_failure,
    note_first_byte,
    note_leave,
    note_return,
)
from signals.kernel import inlined, kernel
from signals.matched import expect_return
from signals.memory import ROOT, State, open_state
from signals.nesting import begin_nested, end_nested, note_caller
from signals.propagation import count_own, note_visit
from signals.quota import note_quota
from signals.recognition import await_return, recognise, watch_success
from signals.retry import count_retrying, keep_failure
from signals.rows import NO_ROW, take_row
from signals.saturation import begin_answer, count_offered, end_work
from signals.shape import FRESH_NS, count_away, count_demand, count_retrying_flow, count_return
from signals.state import (
    BUCKET_NS,
    FRESH,
    N_GAPS,
    N_SCALES,
    RETRY,
    read_clock,
)
from signals.summary import summarise
from signals.synchrony import classify_gap
from signals.windows import advance

ANSWERED, FAILED, REFUSED, GONE = 0, 1, 2, 3
"""How a call ended: answered well; failed, and its caller was told (408, 409, 429, >= 500,
a broken connection); refused by Governor itself; or nobody was there to be told."""

FIRST_BYTE, LEFT, PARENT, CALLER = 4, 5, 6, 7
"""What else is noted of an open call."""

DROPPED_NS = 1_000_000
"""A call whose caller left this shortly before its end was never worked on."""

UNMARKED = -1
"""The attempt of an arrival whose headers say nothing: infer it."""


@inlined
def count_arrival(state: State, t_ns: int, row: int, is_identified: bool) -> None:
    """Count one arrival in the open bucket, by how long its flow was silent."""
    s = state.bank[0]
    flows = state.flows
    gap_ns = t_ns - s["last_arrival_ns"]
    s["gaps"][s["n_gaps"] % N_GAPS] = gap_ns
    s["n_gaps"] += 1
    s["last_arrival_ns"] = t_ns
    s["open_arrivals"] += 1
    s["n_arrivals"] += 1
    if row == NO_ROW or not is_identified:
        s["open_unidentified"] += 1
    scale = N_SCALES - 1 if row == NO_ROW else classify_gap(t_ns - flows[row]["last_ns"])
    if scale >= 0:
        s["open_fresh"][FRESH, scale] += 1
    flows[row]["last_ns"] = t_ns


@inlined
def count_retry(state: State, t_ns: int, row: int) -> None:
    """Count one retry in the open bucket."""
    s = state.bank[0]
    flows = state.flows
    previous_ns = flows[row]["last_retry_ns"]
    scale = N_SCALES - 1 if row == NO_ROW else classify_gap(t_ns - previous_ns)
    if scale >= 0:
        s["open_fresh"][RETRY, scale] += 1
    s["open_retries"] += 1
    s["n_retries"] += 1
    count_retrying(state.bank, t_ns // BUCKET_NS, previous_ns // BUCKET_NS)
    count_retrying_flow(state.shape, t_ns, previous_ns)
    flows[row]["last_retry_ns"] = t_ns


@inlined
def count_failure(state: State, t_ns: int, idx: int, due_ns: int, is_refused: bool) -> None:
    """Count one call's failure and remember it, to recognise its retry.

    Parameters
    ----------
    due_ns : int
        When its caller was asked to come back; 0 if it was not told.
    is_refused : bool
        Governor itself sent it away.
    """
    s = state.bank[0]
    s["open_failures"] += 1
    s["n_failures"] += 1
    c = state.calls[idx]
    expect_return(state.matched, t_ns, c["family"], c["attempt"], due_ns, is_refused)
    if c["flow"] > 0:
        await_return(state.calibration, c["told"], c["family"], c["attempt"], due_ns)
        count_away(state.shape, t_ns)
        keep_failure(
            state.flows,
            c["row"],
            c["fingerprint"],
            c["attempt"],
            c["family"],
            t_ns,
            due_ns,
        )
    if c["has_left"] == 0:
        note_failure(state.forecast[0], t_ns, c["attempt"], c["family"], c["flow"] > 0, due_ns)


@inlined
def count_leave(state: State, t_ns: int, idx: int) -> None:
    """Count a caller that has left; before the first byte that is a failure."""
    c = state.calls[idx]
    if c["has_left"] == 1:
        return
    c["has_left"] = 1
    c["left_ns"] = t_ns
    part_from_tree(state.fanout, state.trees, t_ns, c["tree"])
    if c["answered_ns"] == 0:
        count_failure(state, t_ns, idx, 0, False)
        count_wait(state, t_ns, idx)
        count_own(state.services, state.nesting, state.calls, t_ns, idx)
        note_leave(
            state.forecast[0],
            t_ns,
            c["arrived_ns"],
            c["attempt"],
            c["family"],
            c["flow"] > 0,
        )


@inlined
def count_first_byte(state: State, t_ns: int, idx: int) -> None:
    """Count the first byte of an answer, whether or not it is complete."""
    c = state.calls[idx]
    if c["answered_ns"] == 0:
        c["answered_ns"] = t_ns


@inlined
def end_waiting(state: State, t_ns: int, idx: int, how: int) -> None:
    """Tell the forecast that a call has its first byte (``FIRST_BYTE``), or ended without one."""
    c = state.calls[idx]
    if c["answered_ns"] != 0:
        return
    f, left = state.forecast[0], c["has_left"] == 1
    # Who left the line is dropped at once; later than that, the service has worked it off.
    is_worked_off = how == GONE and left and t_ns - c["left_ns"] > DROPPED_NS
    if how in (ANSWERED, FIRST_BYTE) or is_worked_off:
        note_first_byte(f, t_ns, c["arrived_ns"], c["attempt"], left)
    else:
        note_drop(f, t_ns, c["arrived_ns"], c["attempt"], left)


@inlined
def count_wait(state: State, t_ns: int, idx: int) -> None:
    """Tell who suffered: a caller has its first byte, or has left without one."""
    c = state.calls[idx]
    if c["n_met"] > 0:
        suffer(
            state.contention,
            state.tenants,
            t_ns,
            c["tenant"],
            t_ns - c["arrived_ns"],
            state.saturation[0]["base_s"],
        )


@inlined
def end_place(state: State, t_ns: int, idx: int, how: int) -> None:
    """A call no longer holds a place: what its upstream did for it, and whom it stood before."""
    c = state.calls[idx]
    was_answered = c["answered_ns"] != 0
    left = c["has_left"] == 1
    is_worked_off = how == GONE and left and t_ns - c["left_ns"] > DROPPED_NS
    if how == ANSWERED and not was_answered and not left:
        count_wait(state, t_ns, idx)
    end_work(
        state.saturation,
        t_ns - c["arrived_ns"],
        t_ns - c["answered_ns"],
        c["n_met"],
        was_answered,
        how == ANSWERED or is_worked_off,
    )
    if c["n_met"] > 0:
        part_tenant(state.contention, state.tenants, t_ns, c["tenant"])
    c["n_met"] = 0


@inlined
def count_end(state: State, t_ns: int, idx: int, how: int, retry_after_ns: int) -> None:
    """Count the end of a call and give its place back."""
    c = state.calls[idx]
    end_waiting(state, t_ns, idx, how)
    end_place(state, t_ns, idx, how)
    if how in (ANSWERED, FAILED):
        count_first_byte(state, t_ns, idx)
    if how in (FAILED, REFUSED) and c["has_left"] == 0:
        due_ns = t_ns + retry_after_ns if retry_after_ns > 0 else 0
        count_failure(state, t_ns, idx, due_ns, how == REFUSED)
    if c["has_left"] == 0:
        part_from_tree(state.fanout, state.trees, t_ns, c["tree"])
    if how == ANSWERED and c["has_left"] == 0 and c["flow"] > 0:
        watch_success(state.flows, state.calibration, c["row"], c["fingerprint"], c["told"], t_ns)
    if how in (ANSWERED, FAILED):
        count_own(state.services, state.nesting, state.calls, t_ns, idx)
    end_nested(state.nesting, state.roots, t_ns, idx)
    if c["row"] != NO_ROW:
        state.flows[c["row"]]["n_open"] -= 1
    close_call(state.process, state.calls, idx)


@kernel(
    types.int64(
        ROOT,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        types.float64,
        types.int64,
        types.int64,
        types.boolean,
        types.int64,
    )
)
def arrive(
    root: int,
    now_ns: int,
    tenant: int,
    flow: int,
    tree: int,
    fingerprint: float,
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
    fingerprint : float
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
    state = open_state(root)
    t_ns = read_clock(state.process, now_ns)
    known = flow if 0 < flow < state.bank[0]["n_flows"] else 0
    upstream = state.bank[0]["upstream"]
    row = take_row(state.process, state.row_heads, state.flows, state.agents, upstream, known, t_ns)
    who = known if row != NO_ROW else 0
    silent_ns = FRESH_NS if row == NO_ROW else t_ns - state.flows[row]["last_ns"]
    count_arrival(state, t_ns, row, is_identified)
    told = family if 0 <= family < N_FAMILIES else UNKNOWN
    attempt, found = recognise(
        state.flows,
        state.calibration,
        state.recognition,
        row,
        fingerprint,
        marked_attempt,
        told,
        t_ns,
    )
    if found >= 0:
        state.flows[row]["n_failed"][found] -= 1  # a failure excuses one retry
        note_return(
            state.forecast[0],
            t_ns,
            state.flows[row]["failed_ns"][found],
            state.flows[row]["failed_due_ns"][found],
            state.flows[row]["failed_attempt"][found],
            state.flows[row]["failed_family"][found],
        )
        count_return(state.shape, t_ns, state.flows[row]["failed_ns"][found])
    count_demand(state.shape, silent_ns, attempt > 0)
    if attempt > 0:
        count_retry(state, t_ns, row)
    state.flows[row]["tenant"] = tenant
    state.flows[row]["tree"] = tree
    idx = open_call(state.process, state.calls)
    state.headroom[0]["open_arrivals"] += 1
    n_met = count_offered(state.saturation, idx != UNOBSERVED)
    if idx != UNOBSERVED:
        c = state.calls[idx]
        c["has_left"] = 0
        c["upstream"] = upstream
        c["tenant"] = tenant
        c["flow"] = who
        c["row"] = row
        c["tree"] = tree
        c["attempt"] = attempt
        c["told"] = told
        c["family"] = told if told != UNKNOWN or row == NO_ROW else state.flows[row]["family"]
        c["fingerprint"] = fingerprint
        c["arrived_ns"] = t_ns
        c["answered_ns"] = 0
        c["patience_ns"] = patience_ns
        c["n_met"] = n_met
        if row != NO_ROW:
            state.flows[row]["n_open"] += 1
        join_tenant(state.contention, state.tenants, t_ns, tenant)
        note_arrival(state.forecast[0], t_ns, attempt, family, who > 0, patience_ns)
        join_tree(state.fanout, state.trees, state.agents, t_ns, tree, who, c["upstream"])
        begin_nested(state.nesting, state.roots, state.calls, t_ns, idx)
        note_visit(state.services, state.roots, state.calls, t_ns, idx)
    return (idx << ATTEMPT_BITS) | attempt


@kernel(types.int64(ROOT, types.int64, types.int64, types.int64, types.int64))
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
    state = open_state(root)
    t_ns = read_clock(state.process, now_ns)
    idx = find_call(state.calls, handle)
    if idx == UNOBSERVED:
        return 0
    if kind <= GONE:
        count_end(state, t_ns, idx, kind, value)
    elif kind == FIRST_BYTE:
        c = state.calls[idx]
        if c["answered_ns"] == 0:
            begin_answer(state.saturation, t_ns - c["arrived_ns"], c["n_met"])
            if c["has_left"] == 0:
                count_wait(state, t_ns, idx)
        end_waiting(state, t_ns, idx, FIRST_BYTE)
        count_first_byte(state, t_ns, idx)
    elif kind == LEFT:
        count_leave(state, t_ns, idx)
    elif kind == PARENT:
        c = state.calls[idx]
        link_parent(state.trees, state.agents, c["tree"], c["flow"], value)
    elif kind == CALLER:
        note_caller(state.nesting, state.calls, t_ns, idx, value)
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

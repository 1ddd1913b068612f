"""What happens to a call later: its first byte, its caller's leaving, its end.

*Rule of this file*: each of them is told once to every detector that it
concerns; a call that is not open is no concern of this file.
"""

from __future__ import annotations

from signals.calls import close_call
from signals.contention import part_tenant, suffer
from signals.fanout import part_from_tree
from signals.forecast import note_drop, note_failure, note_first_byte, note_leave
from signals.kernel import inlined
from signals.matched import expect_return
from signals.memory import State
from signals.nesting import end_nested
from signals.propagation import count_own
from signals.recognition import await_return, watch_success
from signals.reproduction import count_away
from signals.retry import keep_failure
from signals.rows import NO_ROW
from signals.saturation import begin_answer, end_work

ANSWERED, FAILED, REFUSED, GONE = 0, 1, 2, 3
"""How a call ended: answered well; failed, and its caller was told (408, 409, 429, >= 500,
a broken connection); refused by Governor itself; or nobody was there to be told."""

FIRST_BYTE, LEFT, PARENT, CALLER = 4, 5, 6, 7
"""What else is noted of an open call."""

DROPPED_NS = 1_000_000
"""A call whose caller left this shortly before its end was never worked on."""


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


@inlined
def begin_reply(state: State, t_ns: int, idx: int) -> None:
    """Take note of the first byte of an answer that is not complete yet."""
    c = state.calls[idx]
    if c["answered_ns"] == 0:
        begin_answer(state.saturation, t_ns - c["arrived_ns"], c["n_met"])
        if c["has_left"] == 0:
            count_wait(state, t_ns, idx)
    end_waiting(state, t_ns, idx, FIRST_BYTE)
    count_first_byte(state, t_ns, idx)

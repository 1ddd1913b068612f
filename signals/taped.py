"""The entrances of an arrival, a first byte and an end, with a tape: the same, and a row of it.

*Rule of this file*: what :mod:`signals.events` does is done there; the row is written when it is
done, so that there is one if, and only if, nothing has raised.

*Cost*: that of the entrance itself, 15 ns for each number more and 20 ns for the row.
"""

from __future__ import annotations

from numba import types

from signals.events import FIRST_BYTE, arrive, note
from signals.kernel import kernel
from signals.number import NUMBER, as_int
from signals.tape import (
    ARRIVED,
    ATTEMPT_MAX,
    BEGUN,
    ENDED,
    NUMBER_BITS,
    open_tape,
    step,
    take_number,
    write_head,
)

__all__ = ["arrive_taped", "note_taped"]


@kernel(types.int64(*[NUMBER] * 20))
def arrive_taped(
    root: int,
    tape_root: int,
    now_ns: int,
    tenant: int,
    flow: int,
    tree: int,
    fingerprint: int,
    marked_attempt: int,
    family: int,
    is_identified: bool,
    patience_ns: int,
    parent_flow: int,
    affinity: int,
    can_retry: bool,
    is_deadline: bool,
    urgency: int,
    call_kind: int,
    source: int,
    max_wait_ns: int,
    switches: int,
) -> int:
    """Take an arrival in, and write it down; return its handle with its number on the tape.

    Parameters are those of :func:`signals.events.arrive`; what follows ``patience_ns`` is for
    the tape alone.
    """
    handle = arrive(
        root,
        now_ns,
        tenant,
        flow,
        tree,
        fingerprint,
        marked_attempt,
        family,
        is_identified,
        patience_ns,
    )
    tape = open_tape(tape_root)
    number = take_number(tape)
    place = tape.head[0]["place"]
    tape.head[0]["arrived"] = place
    write_head(tape, as_int(now_ns), ARRIVED, number)
    r = tape.rows[place]
    r["tenant"] = as_int(tenant)
    r["flow"] = as_int(flow)
    r["tree"] = as_int(tree)
    r["parent_flow"] = as_int(parent_flow)
    r["fingerprint"] = as_int(fingerprint)
    r["affinity"] = as_int(affinity)
    r["patience_ns"] = as_int(patience_ns)
    r["attempt"] = min(as_int(marked_attempt), ATTEMPT_MAX)
    r["is_identified"] = as_int(is_identified) != 0
    r["is_exempt"] = False
    r["can_retry"] = as_int(can_retry) != 0
    r["is_deadline"] = as_int(is_deadline) != 0
    r["family"] = as_int(family)
    r["urgency"] = as_int(urgency)
    r["call_kind"] = as_int(call_kind)
    r["spare"] = 0
    r["source"] = as_int(source)
    r["max_wait_ns"] = as_int(max_wait_ns)
    r["switches"] = as_int(switches)
    step(tape)
    return int(number << NUMBER_BITS | handle)


@kernel(types.int64(*[NUMBER] * 8))
def note_taped(
    root: int,
    tape_root: int,
    kind: int,
    now_ns: int,
    handle: int,
    retry_after_ns: int,
    outcome: int,
    status: int,
) -> int:
    """Take note of a call's first byte or end, and write it down; 1 if it was open to them.

    Parameters
    ----------
    kind, now_ns, handle, retry_after_ns : int
        As for :func:`signals.events.note`: ``FIRST_BYTE``, or how it ended.
    outcome, status : int
        For the tape alone.
    """
    was_open = note(root, kind, now_ns, handle, retry_after_ns)
    tape = open_tape(tape_root)
    told = BEGUN if as_int(kind) == FIRST_BYTE else ENDED
    write_head(tape, as_int(now_ns), told, as_int(handle) >> NUMBER_BITS)
    r = tape.rows[tape.head[0]["place"]]
    r["delay_ns"] = as_int(retry_after_ns)
    r["action"] = as_int(outcome)
    r["status"] = as_int(status)
    step(tape)
    return int(was_open)

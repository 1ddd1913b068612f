"""A tape: a ring of rows in which the entrances write down what they were told, if asked to.

*Rule of this file*: the layout of a row, and how those that every request makes are begun.
What other rows mean, who reads them and what becomes of them is their owner's.

*Theory*: an entrance is handed nearly all that there is to write down of a call. Written there,
a row costs some stores; written by its owner, the same numbers are fetched and handed over again.
So a call carries its number on the tape in its handle, above its place in the table of calls:
whoever has the handle has the number, and an end needs neither.

*Regime*: one writer, in one thread: compiled code and the owner take turns. A number too large
for its field keeps its low bits, as everywhere at the entrances; an attempt its bound.

*Cost*: 104 bytes a row; some 20 ns to write one, and 15 ns for each number handed over.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from signals.kernel import IS_COMPILED, make_view, part
from signals.number import as_int
from signals.state import Records, array_of

ARRIVED, BEGUN, ENDED = 1, 4, 6
"""The ``kind`` of the rows that are written here."""

NUMBER_BITS = 32
"""A handle carries its call's number on the tape above so many bits; 0: it has none."""

LAST_NUMBER = (1 << 31) - 1
"""After it they begin anew: a handle stays positive."""

ATTEMPT_MAX = (1 << 31) - 1

ROW_DTYPE = np.dtype(
    [
        ("t_ns", "<i8"),
        ("number", "<u4"),
        ("request", "<u4"),
        ("delay_ns", "<i8"),
        ("kind", "u1"),
        ("upstream", "u1"),
        ("action", "u1"),
        ("reason", "u1"),
        ("status", "<i2"),
        ("endpoint", "<i2"),
        # the rest: what only some kinds fill
        ("tenant", "<i4"),
        ("flow", "<i4"),
        ("tree", "<i4"),
        ("parent_flow", "<i4"),
        ("fingerprint", "<i8"),
        ("affinity", "<i8"),
        ("patience_ns", "<i8"),
        ("attempt", "<i4"),
        ("is_identified", "?"),
        ("is_exempt", "?"),
        ("can_retry", "?"),
        ("is_deadline", "?"),
        ("family", "u1"),
        ("urgency", "u1"),
        ("call_kind", "u1"),
        ("spare", "u1"),
        ("source", "<i8"),
        ("max_wait_ns", "<i8"),
        ("switches", "<i4"),
    ]
)
"""One row; no padding."""

HEAD_DTYPE = np.dtype(
    [
        ("place", np.int64),  # where the next row goes
        ("n_laps", np.int64),  # how often the tape has begun anew at its first place
        ("number", np.int64),  # of the latest call
        ("arrived", np.int64),  # the place of the latest arrival's row
    ]
)


class Tape(NamedTuple):
    """What the entrances of one upstream write to; several upstreams may share head and rows."""

    head: Records
    rows: Records
    upstream: int


def make_tape_root(head: Records, rows: Records, upstream: int) -> npt.NDArray[np.int64]:
    """Return what leads to a tape; it and both arrays must outlive its use."""
    return np.array([head.ctypes.data, rows.ctypes.data, len(rows), upstream], np.int64)


def get_tape(root: npt.NDArray[np.int64], head: Records, rows: Records, upstream: int) -> Any:
    """Return what the entrances take: an address, or without a compiler the tape itself."""
    return int(root.ctypes.data) if IS_COMPILED else Tape(head, rows, upstream)


_view_root = make_view(types.Array(types.int64, 1, "C"))
_view_head = make_view(array_of(HEAD_DTYPE))
_view_rows = make_view(array_of(ROW_DTYPE))


@part
def _open_root(tape_root: Any) -> Tape:
    r = _view_root(as_int(tape_root), 4)
    return Tape(_view_head(r[0], 1), _view_rows(r[1], r[2]), r[3])


def _pass_through(tape_root: Any) -> Tape:
    """Without a compiler the tape is handed over as it is."""
    return tape_root  # type: ignore[no-any-return]


open_tape = _open_root if IS_COMPILED else _pass_through


@part
def step(tape: Tape) -> None:
    """Go on to the next place: the row there has been written."""
    h = tape.head[0]
    h["place"] += 1
    if h["place"] == len(tape.rows):
        h["place"] = 0
        h["n_laps"] += 1


@part
def write_head(tape: Tape, now_ns: int, kind: int, number: int) -> None:
    """Begin the row at the present place: what all kinds have, the rest of the head is zero."""
    r = tape.rows[tape.head[0]["place"]]
    r["t_ns"] = now_ns
    r["number"] = number
    r["request"] = 0
    r["delay_ns"] = 0
    r["kind"] = kind
    r["upstream"] = tape.upstream
    r["action"] = 0
    r["reason"] = 0
    r["status"] = 0
    r["endpoint"] = 0


@part
def take_number(tape: Tape) -> int:
    """Return the next call's number on the tape."""
    h = tape.head[0]
    h["number"] = h["number"] + 1 if h["number"] < LAST_NUMBER else 1
    return int(h["number"])

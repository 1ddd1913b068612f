"""The entrances with a tape: what is done is the same, and what was told stands in the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import ANSWERED, FAILED, FIRST_BYTE, UNMARKED, SignalBank, arrive_taped, note_taped
from signals.kernel import get_entry
from signals.tape import (
    ATTEMPT_MAX,
    HEAD_DTYPE,
    LAST_NUMBER,
    NUMBER_BITS,
    ROW_DTYPE,
    get_tape,
    make_tape_root,
)

MS = 1_000_000
N_ROWS = 8
WORDS = st.integers(-(1 << 63), (1 << 63) - 1)


class Taped:
    """A bank and its tape, and a slow twin of the tape: a list of what every row must say."""

    def __init__(self) -> None:
        self.bank = SignalBank(8)
        self.head: Any = np.zeros(1, HEAD_DTYPE)
        self.rows: Any = np.zeros(N_ROWS, ROW_DTYPE)
        self.rows.view(np.uint8)[:] = 0xFF
        self.root = make_tape_root(self.head, self.rows, 5)
        self.tape = get_tape(self.root, self.head, self.rows, 5)
        self.told: list[dict[str, int]] = []

    def arrive(self, now_ns: int, seen: tuple[int, ...], unseen: tuple[int, ...]) -> int:
        """Tell of an arrival: what the detectors are told, and what only the tape is."""
        if now_ns >= self.bank.boundary_ns:
            self.bank.advance(now_ns)
        arrive: Any = get_entry(arrive_taped)
        call: int = arrive(self.bank.root, self.tape, now_ns, *seen, *unseen)
        names = ("tenant", "flow", "tree", "fingerprint", "attempt", "family", "is_identified")
        row = dict(zip((*names, "patience_ns"), seen, strict=True))
        others = ("parent_flow", "affinity", "can_retry", "is_deadline", "urgency")
        more = ("call_kind", "source", "max_wait_ns", "switches")
        row |= dict(zip((*others, *more), unseen, strict=True))
        row["attempt"] = min(row["attempt"], ATTEMPT_MAX)
        head = {"t_ns": now_ns, "number": call >> NUMBER_BITS, "kind": 1, "upstream": 5}
        self.told.append(dict.fromkeys(ROW_DTYPE.names or (), 0) | row | head)
        return call

    def note(self, kind: int, now_ns: int, call: int, after_ns: int, how: int, status: int) -> None:
        """Tell of a first byte or an end."""
        get_entry(note_taped)(self.bank.root, self.tape, kind, now_ns, call, after_ns, how, status)
        row = dict.fromkeys((ROW_DTYPE.names or ())[:10], 0)
        row |= {"t_ns": now_ns, "number": call >> NUMBER_BITS, "delay_ns": after_ns, "upstream": 5}
        self.told.append(row | {"kind": 4 if kind == FIRST_BYTE else 6, "action": how})
        self.told[-1]["status"] = status

    def check(self) -> None:
        """Every row that is still there says what was told."""
        n = len(self.told)
        assert int(self.head[0]["place"]) == n % N_ROWS
        assert int(self.head[0]["n_laps"]) == n // N_ROWS
        for number in range(max(0, n - N_ROWS), n):
            row = self.rows[number % N_ROWS]
            assert {name: int(row[name]) for name in self.told[number]} == self.told[number]


@given(
    fingerprint=WORDS,
    attempt=st.one_of(st.integers(-1, 200), st.just(ATTEMPT_MAX)),
    patience_ns=st.integers(0, 1 << 62),
    unseen=st.tuples(
        *(st.integers(0, 7), WORDS, st.booleans(), st.booleans()),
        *(st.integers(0, 7), st.integers(0, 255), WORDS, WORDS, st.integers(-1, (1 << 31) - 1)),
    ),
    n=st.integers(1, N_ROWS),
)
@settings(max_examples=25, deadline=None)
def test_a_row_says_what_was_told(
    fingerprint: int, attempt: int, patience_ns: int, unseen: tuple[int, ...], n: int
) -> None:
    """Every field of an arrival, and of its first byte and end, whatever was there before."""
    taped = Taped()
    for number in range(n):
        seen = (1, 1 + number % 3, 2, fingerprint, attempt, 3, number % 2, patience_ns)
        call = taped.arrive(number * MS, seen, unseen)
        taped.note(FIRST_BYTE, number * MS + 1, call, 0, 0, 200)
        taped.note(FAILED, number * MS + 2, call, 10 * MS, 3, 503)
    taped.check()


def test_the_detectors_see_no_difference() -> None:
    """The same calls with a tape and without leave every array the same."""
    plain, taped = SignalBank(8), Taped()
    for number in range(40):
        now_ns = number * 30 * MS
        seen = (1, 1 + number % 3, 1, number % 2, UNMARKED, 0, True, 0)
        call = plain.observe_arrival(now_ns, *seen)
        told = taped.arrive(now_ns, seen, (0, 0, True, False, 3, 0, 0, 0, -1))
        assert told == call | number + 1 << NUMBER_BITS
        how = FAILED if number % 3 else ANSWERED
        plain.observe_answer(now_ns + MS, call)
        plain.observe_end(now_ns + 2 * MS, call, how, 0)
        taped.note(FIRST_BYTE, now_ns + MS, told, 0, 0, 200)
        taped.note(how, now_ns + 2 * MS, told, 0, 0, 200)
    for bank in (plain, taped.bank):
        bank.tick(2_000 * MS)
    for name, here, there in zip(plain.state._fields, plain.state, taped.bank.state, strict=True):
        if len(here) < 10_000:  # the larger tables are mostly untouched, and slow to compare
            assert here.tobytes() == there.tobytes(), name


def test_numbers_begin_anew_before_a_handle_turns_negative() -> None:
    """After the last number comes 1: 0 is of those that have none."""
    taped = Taped()
    taped.head["number"] = LAST_NUMBER - 1
    shape = ((1, 1, 1, 7, UNMARKED, 0, True, 0), (0, 0, True, False, 3, 0, 0, 0, -1))
    calls = [taped.arrive(number, *shape) for number in range(3)]
    assert [call >> NUMBER_BITS for call in calls] == [LAST_NUMBER, 1, 2]
    assert all(call > 0 for call in calls)

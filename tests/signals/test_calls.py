"""Handles: each is one open call, ends once, and a full table loses only detail."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from signals import ANSWERED, ATTEMPT_MASK, FAILED, GONE, REFUSED, Shared, SignalBank

MS = 1_000_000


def read(bank: SignalBank) -> dict[str, float]:
    """All readings by name."""
    return {reading.name: reading.value for reading in bank.read()}


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=200))
@settings(max_examples=30, deadline=None)
def test_open_calls_are_those_begun_and_not_ended(steps: list[tuple[bool, int]]) -> None:
    """No place is given twice, none is lost, and a second end changes nothing."""
    shared = Shared(16)
    bank = SignalBank(8, shared)
    held: list[int] = []
    ended: list[int] = []
    for number, (is_arrival, pick) in enumerate(steps):
        if is_arrival:
            call = bank.observe_arrival(number * MS, 1, 1, 1, number)
            if call > ATTEMPT_MASK:
                assert call not in held
                held.append(call)
            else:
                assert len(held) == 15
        elif held:
            call = held.pop(pick % len(held))
            bank.observe_end(number * MS, call)
            ended.append(call)
        for call in set(ended) - set(held):
            assert bank.note(bank.root, ANSWERED, number * MS, call, 0) == 0
        assert shared.process[0]["n_calls_open"] == len(held)


def test_banks_of_a_process_share_the_table_and_the_clock() -> None:
    """Calls of one upstream never end another's, and one clock serves all."""
    shared = Shared(16)
    first, second = SignalBank(8, shared, 0), SignalBank(8, shared, 1)
    here = first.observe_arrival(0, 1, 1, 1, 7)
    there = second.observe_arrival(5 * MS, 1, 1, 1, 7)
    assert here != there
    assert [call["upstream"] for call in shared.calls[1:3]] == [0, 1]
    first.tick(10_000 * MS)
    second.tick(10_000 * MS)
    assert first.state.bank[0]["bucket"] == second.state.bank[0]["bucket"]


def test_calls_beyond_the_table_are_counted_and_harmless() -> None:
    """They are seen as arrivals, carry their attempt, and their ends are ignored."""
    bank = SignalBank(8, Shared(2))
    bank.observe_arrival(0, 1, 1, 1, 7)
    call = bank.observe_arrival(0, 1, 2, 1, 7, 3)
    assert call == 3
    bank.observe_answer(MS, call)
    bank.observe_leave(MS, call)
    bank.observe_end(MS, call, FAILED)
    bank.tick(20 * MS)
    assert bank.state.process[0]["n_calls_overflowed"] == 1
    assert bank.state.bank[0]["n_arrivals"] == 2
    assert read(bank)["failure_share"] == 0.0


def test_a_caller_that_leaves_before_the_first_byte_has_failed_once() -> None:
    """Leaving is the failure; what the upstream answers later is nobody's."""
    bank = SignalBank(8)
    call = bank.observe_arrival(0, 1, 1, 1, 7)
    bank.observe_leave(MS, call)
    bank.observe_leave(2 * MS, call)
    bank.observe_end(3 * MS, call, GONE)
    assert bank.state.bank[0]["n_failures"] == 1
    assert bank.observe_arrival(4 * MS, 1, 1, 1, 7) & ATTEMPT_MASK == 1


def test_a_caller_that_leaves_a_stream_has_not_failed() -> None:
    """It had its answer."""
    bank = SignalBank(8)
    call = bank.observe_arrival(0, 1, 1, 1, 7)
    bank.observe_answer(MS, call)
    bank.observe_leave(2 * MS, call)
    bank.observe_end(3 * MS, call, GONE)
    assert bank.state.bank[0]["n_failures"] == 0
    assert bank.observe_arrival(4 * MS, 1, 1, 1, 7) & ATTEMPT_MASK == 0


def test_a_refusal_remembers_when_its_caller_was_asked_back() -> None:
    """The forecast counts on that instant."""
    bank = SignalBank(8)
    call = bank.observe_arrival(0, 1, 1, 1, 7)
    bank.observe_end(MS, call, REFUSED, 500 * MS)
    flow = bank.state.flows[1]
    assert flow["failed_due_ns"][0] - flow["failed_ns"][0] == 500 * MS

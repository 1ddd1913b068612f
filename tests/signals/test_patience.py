"""Who waits, the pace of first bytes, and when patience is believed."""

from __future__ import annotations

import pytest

from signals import GONE, Shared, SignalBank

MS = 1_000_000
S = 1_000 * MS


@pytest.fixture
def bank() -> SignalBank:
    """A bank that has answered 20 calls a second for 2 s."""
    bank = SignalBank(64, Shared(1_024))
    for step in range(40):
        call = bank.observe_arrival(step * 50 * MS, 1, 1 + step, 0, step)
        bank.observe_end(step * 50 * MS + 40 * MS, call)
    bank.tick(2 * S)
    return bank


def patience_s(bank: SignalBank) -> float:
    """The reading."""
    return next(r.value for r in bank.read() if r.name == "patience")


def test_the_first_who_leaves_teaches_patience_and_the_rest_are_foreseen(bank: SignalBank) -> None:
    """One has left after 1 s: the nine who came with it and are not served will leave too."""
    calls = [bank.observe_arrival(2 * S + k * MS, 1, 50 + k, 0, 900 + k) for k in range(10)]
    bank.tick(3 * S)
    assert patience_s(bank) == 0.0
    bank.observe_leave(3 * S, calls[0])
    bank.tick(3 * S + 50 * MS)
    assert patience_s(bank) == pytest.approx(1.0)
    record = bank.state.forecast[0]
    assert record["patience"]["n_orphans"] == 1
    assert record["planned"].sum() == pytest.approx(9.0, abs=1.0)


def test_a_lone_cancellation_is_not_believed(bank: SignalBank) -> None:
    """Somebody left after 100 ms; another was served after 300 ms: patience is unknown."""
    call = bank.observe_arrival(2 * S, 1, 50, 0, 901)
    slow = bank.observe_arrival(2 * S, 1, 51, 0, 902)
    bank.observe_leave(2 * S + 100 * MS, call)
    bank.observe_end(2 * S + 101 * MS, call, GONE)
    bank.tick(2 * S + 150 * MS)
    assert patience_s(bank) == pytest.approx(0.1)
    bank.observe_end(2 * S + 300 * MS, slow)
    bank.tick(2 * S + 350 * MS)
    assert patience_s(bank) == 0.0


def test_headers_are_believed_at_once() -> None:
    """Callers that say how long they wait need not leave first."""
    bank = SignalBank(8, Shared(64))
    call = bank.observe_arrival(0, 1, 1, 0, 1, patience_ns=3 * S)
    bank.observe_end(MS, call)
    bank.tick(50 * MS)
    assert patience_s(bank) == pytest.approx(3.0)


def test_a_stream_does_not_lengthen_the_line(bank: SignalBank) -> None:
    """After its first byte a call is served, however long it goes on; leaving it is no failure."""
    calls = [bank.observe_arrival(2 * S + k * MS, 1, 50 + k, 0, 900 + k) for k in range(10)]
    for call in calls:
        bank.observe_answer(2 * S + 50 * MS, call)
    record = bank.state.forecast[0]
    assert record["patience"]["n_waiting"] == 0
    bank.observe_leave(3 * S, calls[0])
    bank.tick(3 * S)
    assert record["patience"]["n_orphans"] == 0
    assert record["pending"]["n_out"] == 0


def test_work_for_those_who_left_counts_until_it_is_done(bank: SignalBank) -> None:
    """Dropped from the line with its caller: no orphan. Worked on: an orphan until its end."""
    one, two = (bank.observe_arrival(2 * S, 1, 50 + k, 0, 900 + k) for k in range(2))
    record = bank.state.forecast[0]
    answers = int(record["patience"]["n_answers"])
    bank.observe_leave(2 * S + MS, one)
    bank.observe_end(2 * S + MS, one, GONE)
    assert record["patience"]["n_orphans"] == 0
    assert record["patience"]["n_answers"] == answers
    bank.observe_leave(2 * S + MS, two)
    assert record["patience"]["n_orphans"] == 1
    bank.observe_end(2 * S + 500 * MS, two, GONE)
    assert record["patience"]["n_orphans"] == 0
    assert record["patience"]["n_answers"] == answers + 1

"""The agenda: time in order, ties as asked, and an end."""

from __future__ import annotations

from bench.simulate.clock import Agenda


def test_what_is_due_comes_in_order_and_ties_as_asked() -> None:
    """By instant; at one instant in the order in which it was asked for."""
    agenda = Agenda()
    seen: list[tuple[float, str]] = []
    for at_s, word in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (9.0, "late")):
        agenda.at(at_s, lambda now_s, said: seen.append((now_s, said)), word)
    agenda.run(5.0)
    assert seen == [(1.0, "a"), (1.0, "b"), (2.0, "c")]
    assert agenda.n_events == 3
    assert agenda.now_s == 5.0


def test_nothing_is_due_before_now_and_a_run_can_end_early() -> None:
    """What is asked for in the past is due now; ``is_over`` ends the run before the next event."""
    agenda = Agenda(10.0)
    seen: list[float] = []
    agenda.at(3.0, lambda now_s, _: seen.append(now_s))
    agenda.at(11.0, lambda now_s, _: seen.append(now_s))
    agenda.run(20.0, lambda: bool(seen))
    assert seen == [10.0]

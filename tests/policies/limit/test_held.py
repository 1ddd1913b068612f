"""Places of ours are held to what found room, for some exchanges."""

from __future__ import annotations

from policies.limit.held import Held
from policies.limit.refusals import NO_CEILING

MS = 1_000_000
FOR_NS = 300 * MS


def refuse(held: Held, now_ns: int, *in_flight: int) -> None:
    """Let calls be refused that were sent as the so manieth of ours."""
    for n in in_flight:
        held.on_refused(now_ns, n, FOR_NS)


def test_the_third_refusal_holds_to_one_less_than_the_fewest() -> None:
    """Two are an accident; then every further one that found fewer lowers the bound."""
    held = Held()
    refuse(held, 0, 15, 16)
    assert held.places == NO_CEILING
    refuse(held, 0, 17)
    assert held.places == 14
    refuse(held, 1 * MS, 20, 14)
    assert held.places == 13
    refuse(held, 2 * MS, 1)
    assert held.places == 1, "everybody keeps a place"


def test_refusals_far_apart_hold_nothing() -> None:
    """Fewer than three between two exchanges change nothing."""
    held = Held()
    for exchange in range(10):
        refuse(held, exchange * 100 * MS, 5, 6)
        held.heard()
    assert held.places == NO_CEILING


def test_it_lasts_until_all_have_told_and_begins_anew_with_each_refusal() -> None:
    """Exchanges alone do not end it, time does."""
    held = Held()
    refuse(held, 0, 9, 9, 9)
    held.heard()
    held.tick(FOR_NS - 1)
    assert held.places == 8
    refuse(held, FOR_NS - 1, 12)
    held.tick(2 * FOR_NS - 2)
    assert held.places == 8
    held.tick(2 * FOR_NS - 1)
    assert held.places == NO_CEILING
    refuse(held, 3 * FOR_NS, 12, 12)
    assert held.places == NO_CEILING, "what was counted before is forgotten"


def test_without_a_ceiling_nothing_is_held() -> None:
    """Where three refusals have taught none, places are not what is short."""
    held = Held()
    refuse(held, 0, 4, 4)
    held.doubt()
    refuse(held, 0, 4)
    assert held.places == 3, "two are too few to doubt"
    held.doubt()
    assert held.places == NO_CEILING

"""Refusals wait until it is known what the others had in flight."""

from __future__ import annotations

from policies.limit.met import Met


def test_the_most_of_what_was_told_in_two_exchanges_counts() -> None:
    """Before it, in part from before it, and after it: whichever is most."""
    for told in ((30, 20, 10), (10, 30, 20), (10, 20, 30)):
        met = Met()
        met.hear(told[0])
        met.note(5, told[0])
        met.note(4, told[0])
        assert met.hear(told[1]) == []
        assert met.hear(told[2]) == [35, 34]
        assert met.hear(99) == []


def test_each_refusal_waits_for_two_exchanges_of_its_own() -> None:
    """Later ones are weighed later, on what was told later."""
    met = Met()
    met.note(5, 7)
    met.hear(21)
    met.note(3, 21)
    assert met.hear(43) == [48]
    assert met.hear(20) == [46]


def test_who_is_alone_waits_for_nobody() -> None:
    """All are weighed on what is known, once."""
    met = Met()
    assert not met.drain(0)
    met.note(5, 20)
    met.hear(24)
    met.note(6, 24)
    assert met.drain(22) == [29, 30]
    assert not met.drain(22)

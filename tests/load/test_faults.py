"""Faults: the words, what they refuse, and when each is at work."""

from __future__ import annotations

import math

import pytest

from governor.load.faults import FORMS, Bucket, Fault, Schedule, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("latency:200ms@5s+4s", Fault("latency", 0.2, 1.0, 5.0, 9.0)),
        ("latency:1s", Fault("latency", 1.0)),
        ("stall", Fault("stall")),
        ("stall@0+500ms", Fault("stall", end_s=0.5)),
        ("slow:10x@2", Fault("slow", 10.0, start_s=2.0)),
        ("slow:2.5", Fault("slow", 2.5)),
        ("refuse", Fault("refuse", 503.0)),
        ("refuse:429@1m+1s", Fault("refuse", 429.0, 1.0, 60.0, 61.0)),
        ("refuse:20%", Fault("refuse", 503.0, 0.2)),
        ("reset", Fault("reset")),
        ("reset:5%@1s", Fault("reset", 0.0, 0.05, 1.0)),
        ("limit:32", Fault("limit", 32.0)),
        ("limit:50/s", Fault("rate", 50.0)),
    ],
)
def test_words_become_faults(text: str, fault: Fault) -> None:
    """Each word gives its kind, value, share and time."""
    assert parse_fault(text) == fault
    assert fault.describe()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "KIND"),
        ("boom", "latency:200ms"),
        ("latency", "VALUE"),
        ("latency:fast", "VALUE"),
        ("latency:0s", "above 0"),
        ("latency:2m", "at most"),
        ("stall:1", "stall"),
        ("stall@", "KIND"),
        ("stall@x", "START"),
        ("stall@1s+0s", "LENGTH"),
        ("stall+4s", "KIND"),
        ("slow", "slow:10x"),
        ("slow:0.5x", "between"),
        ("refuse:200", "400"),
        ("refuse:0%", "share"),
        ("reset:200%", "share"),
        ("limit", "limit:32"),
        ("limit:0", "between"),
        ("limit:1.5", "between"),
        ("limit:nan", "between"),
    ],
)
def test_other_words_are_refused_with_what_is_allowed(text: str, told: str) -> None:
    """A word that is no fault is a ValueError that says what would be one."""
    with pytest.raises(ValueError, match=told):
        parse_fault(text)


def test_every_kind_shows_a_form_that_is_read() -> None:
    """The examples in messages are themselves allowed."""
    for kind, form in FORMS.items():
        for word in form.replace(" or ", ", ").split(", "):
            assert parse_fault(word.partition(" (")[0]).kind in (kind, "rate")


def test_a_fault_is_at_work_from_its_start_to_its_end() -> None:
    """Half-open; of two of a kind the later word wins; the edges are known."""
    schedule = Schedule(
        (Fault("latency", 0.1), Fault("latency", 0.5, 1.0, 2.0, 3.0), Fault("stall", end_s=1.0))
    )
    values = [schedule.active("latency", at_s) for at_s in (0.0, 2.0, 2.999, 3.0)]
    assert [fault.value for fault in values if fault] == [0.1, 0.5, 0.5, 0.1]
    assert schedule.active("stall", 1.0) is None
    assert schedule.edges_s() == [0.0, 1.0, 2.0, 3.0]
    assert math.isinf(Fault("stall").end_s)


def test_a_bucket_lets_its_rate_through() -> None:
    """A second's worth at once, then the rate; a clock that jumps back gains nothing."""
    bucket = Bucket(10.0, 0.0)
    assert sum(bucket.take(0.0) for _ in range(50)) == 10
    assert sum(bucket.take(0.5) for _ in range(50)) == 5
    assert not bucket.take(0.1)
    assert sum(bucket.take(0.5 + step / 100.0) for step in range(1, 201)) == 20

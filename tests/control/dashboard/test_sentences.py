"""Decisions in plain words: alike ones together, and never more than a few lines."""

from __future__ import annotations

from functools import cache

import pytest

from governor.control.dashboard.sentences import (
    LINES_MAX,
    put_decisions_in_words,
    say_span,
)
from governor.core.decision_log import Intervention
from policies.decision import Reason
from tests.control.stub import StubRuntime


def entry(**fields: object) -> Intervention:
    """Return one intervention; what is not given is a call sent away."""
    return intervention()._replace(**fields)


@cache
def intervention() -> Intervention:
    """Return what the log holds of a call that was sent away."""
    runtime = StubRuntime()
    runtime.intervene()
    return next(x for x in runtime.decision_log.last(9) if x.action == "answer")


def label(idx: int) -> str:
    """Return a name."""
    return f"flow-{idx}"


def test_alike_decisions_are_one_sentence() -> None:
    """Forty calls sent away for one reason are one line with the span of their times."""
    entries = [
        entry(sequence=n, retry_after_ns=(1 + n % 3) * 1_000_000_000, reason=Reason.LINE_TOO_LONG)
        for n in range(40)
    ]
    (said,) = put_decisions_in_words(entries, 0, label)
    assert (said.kind, said.n) == ("away", 40)
    assert said.text.startswith("40 calls sent away from tools, to come back in 1.0 to 3.0 s.")


def test_who_has_no_time_to_return_is_promised_none() -> None:
    """A quarantined agent's calls are sent away, full stop."""
    quarantined = entry(reason=Reason.QUARANTINED, retry_after_ns=0)
    (said,) = put_decisions_in_words([quarantined], 0, label)
    assert "to come back" not in said.text
    assert said.text.endswith("quarantined until a person releases it.")


def test_a_single_one_is_named() -> None:
    """One caller is spoken of by its label."""
    (said,) = put_decisions_in_words(
        [
            entry(
                action="admit", reason=Reason.CAPACITY_FREED, waited_ns=320_000_000, flow=7, at_ns=0
            )
        ],
        5_000_000_000,
        label,
    )
    assert said.text == "flow-7 waited 0.32 s for a place at tools, then went."
    assert (said.kind, said.at_s) == ("went", 5.0)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence(reason: Reason) -> None:
    """No decision is shown as a bare code word."""
    (said,) = put_decisions_in_words([entry(action="admit", reason=reason)], 0, label)
    assert said.text.endswith(".")
    assert said.text.count(" ") > 3


def test_lines_are_bounded() -> None:
    """A hundred upstreams at once are the few with the most decisions."""
    entries = [entry(upstream=f"up-{n % 100}") for n in range(150)]
    said = put_decisions_in_words(entries, 0, label)
    assert len(said) == LINES_MAX
    assert all(line.n == 2 for line in said)


@pytest.mark.parametrize(
    ("least_ns", "most_ns", "text"),
    [
        (0, 0, "less than 0.01 s"),
        (10**9, 10**9, "1.0 s"),
        (10**9, 12 * 10**9, "1.0 to 12 s"),
        (0, 60_000_000, "up to 0.06 s"),
    ],
)
def test_spans(least_ns: int, most_ns: int, text: str) -> None:
    """One number where both ends read the same."""
    assert say_span(least_ns, most_ns) == text

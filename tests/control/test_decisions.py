"""The decisions page as plain values."""

from __future__ import annotations

import pytest

from governor.control.decisions import (
    REASON_WORDS,
    BadParameter,
    describe_decisions,
    parse_last,
)
from policies.decision import Reason
from tests.control.stub import StubRuntime

MS = 1_000_000


def test_last_defaults_and_bounds() -> None:
    """None asks for 100; 1 and 1000 are the bounds."""
    assert (parse_last(None), parse_last("1"), parse_last("1000")) == (100, 1, 1000)
    with pytest.raises(BadParameter, match="last must be a whole number from 1 to 1000"):
        parse_last("1001")


def test_entries_carry_wall_time_and_labels() -> None:
    """Instants are turned to Unix time, identities to labels, absent facts to null."""
    runtime = StubRuntime()
    runtime.intervene(1)
    now_ns, unix_now_ns = 50 * MS, 1_700_000_000_000_000_000
    page = describe_decisions(runtime, 10, now_ns, unix_now_ns)
    admitted, answered = page["decisions"]
    assert answered["time_s"] == pytest.approx(1_700_000_000 - 0.049, abs=1e-5)
    assert answered["caller"]["flow"].startswith("flow-")
    assert answered["caller"]["attempt"] == 1
    assert (answered["status"], answered["endpoint"]) == (429, None)
    assert (admitted["action"], admitted["reason"]) == ("admit", "capacity_freed")
    assert (admitted["waited_s"], admitted["endpoint"]) == (0.02, 0)
    assert (admitted["status"], admitted["retry_after_s"]) == (None, None)


def test_every_reason_has_its_sentence() -> None:
    """The closed list and its words agree."""
    assert set(REASON_WORDS) == set(Reason)
    assert all(text.endswith(".") for text in REASON_WORDS.values())

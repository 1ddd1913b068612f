"""The ring of interventions: bounded, newest first, never a request's problem."""

from __future__ import annotations

from typing import Any

import pytest

from governor.core.arrival import Arrival
from governor.core.decision_log import DecisionLog
from governor.core.gate import Gate
from governor.core.identity import Identities
from policies.decision import Action
from policies.limit import FixedLimit
from signals import SignalBank


def make_gate(log: DecisionLog) -> Gate:
    """A gate whose second arrival and all after it are answered."""
    identities = Identities(4, 4, 4)
    gate = Gate("tools", [FixedLimit(1)], SignalBank(4), identities, max_waiting=0, log=log)
    assert gate.arrive(0, Arrival()).action is Action.ADMIT
    return gate


def test_an_empty_log_has_nothing() -> None:
    """Nothing is made up before anything was done."""
    assert DecisionLog().last(10) == []


def test_a_log_of_nothing_is_refused() -> None:
    """At least one entry is kept."""
    with pytest.raises(ValueError, match="capacity is 0"):
        DecisionLog(0)


def test_the_ring_keeps_the_newest() -> None:
    """Beyond its capacity the oldest makes room; sequence numbers go on."""
    log = DecisionLog(3, str)
    gate = make_gate(log)
    for idx in range(8):
        gate.arrive(idx, Arrival(attempt=2), owner=idx)
    assert len(log) == 3
    entries = log.last(10)
    assert [entry.sequence for entry in entries] == [7, 6, 5]
    assert [entry.request_id for entry in entries] == ["7", "6", "5"]
    assert [entry.request_id for entry in log.last(1)] == ["7"]
    assert entries[0].attempt == 2
    assert (entries[0].action, entries[0].reason) == ("answer", "line_full")
    assert (entries[0].in_flight, entries[0].limit, entries[0].line_length) == (1, 1, 0)


def test_a_fault_in_the_log_is_counted_and_harms_nobody() -> None:
    """An owner that cannot say its id costs the entry, not the request."""

    def fail(owner: Any) -> str:
        raise ZeroDivisionError

    log = DecisionLog(3, fail)
    gate = make_gate(log)
    assert gate.arrive(1, Arrival()).action is Action.ANSWER
    assert (log.n_faults, len(log)) == (1, 0)

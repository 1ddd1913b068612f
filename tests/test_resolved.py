"""From the configuration's words about policies to what the core carries."""

from __future__ import annotations

import pytest

from governor.config.policies import Policies, RoutePolicies
from governor.core.terms import NO_TERMS
from governor.resolved import modes_of, switches_of, terms_of
from policies.switches import NO_SWITCHES, Modes, unpack


def test_a_route_that_says_nothing_carries_nothing() -> None:
    """Whatever the file says: then the gate knows it already."""
    for policies in (Policies(), Policies(hold="off"), Policies(mode="observe")):
        assert terms_of(policies, RoutePolicies()) == NO_TERMS
        assert terms_of(policies, RoutePolicies(hold=policies.hold)) == NO_TERMS


def test_a_route_changes_only_what_it_names() -> None:
    """The rest is as the file says."""
    policies = Policies(contain="off", slots="observe")
    own = RoutePolicies(hold="off", max_wait_s=60.0, patience_s=300.0, urgency=6)
    assert modes_of(policies, own) == Modes(hold="off", contain="off", slots="observe")
    terms = terms_of(policies, own)
    assert unpack(terms.switches) == modes_of(policies, own)
    assert terms[1:] == (60_000_000_000, 300_000_000_000, 6)
    assert terms_of(policies, RoutePolicies(urgency=6)).switches == NO_SWITCHES


@pytest.mark.parametrize("word", ["govern", "observe"])
def test_observe_mode_holds_for_routes_too(word: str) -> None:
    """No route governs where the file only observes."""
    own = RoutePolicies.model_validate({"hold": word, "slots": "off"})
    modes = unpack(switches_of(Policies(mode="observe"), own))
    assert "govern" not in modes
    assert (modes.hold, modes.slots) == ("observe", "off")

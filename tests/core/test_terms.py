"""What a route lays down for its requests."""

from __future__ import annotations

from governor.core.arrival import Arrival
from governor.core.terms import NO_TERMS, Terms
from policies.switches import Modes
from tests.support.fields import fields_of


def test_no_terms_change_nothing() -> None:
    """A route that says nothing leaves a request as its headers made it."""
    arrival = Arrival(patience_ns=7, urgency=1)
    NO_TERMS.lay_down(arrival)
    plain = Arrival(patience_ns=7, urgency=1)
    assert all(getattr(arrival, x) == getattr(plain, x) for x in fields_of(Arrival))


def test_what_a_request_says_of_itself_stands() -> None:
    """Patience and urgency are the caller's before they are the route's."""
    terms = Terms(Modes(hold="off").pack(), 9, 8, 6)
    said, silent = Arrival(patience_ns=7, urgency=1), Arrival()
    terms.lay_down(said)
    terms.lay_down(silent)
    assert (said.patience_ns, said.urgency, said.max_wait_ns) == (7, 1, 9)
    assert (silent.patience_ns, silent.urgency, silent.switches) == (8, 6, 2)

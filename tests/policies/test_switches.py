"""The switches of the policies: words, and the one number that they are packed into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.decision import Reason
from policies.switches import (
    OFF,
    POLICY_OF,
    STATES,
    Modes,
    Policy,
    observe_all,
    observes_any,
    state_of,
    unpack,
)

MODES = st.tuples(*[st.sampled_from(STATES)] * len(Policy)).map(lambda words: Modes(*words))


def test_each_policy_has_a_switch_of_its_name() -> None:
    """The words of the configuration are the names of the policies, in their order."""
    assert list(Modes._fields) == [policy.name.lower() for policy in Policy]
    assert Modes().pack() == 0


@given(MODES)
def test_what_is_packed_comes_out_again(modes: Modes) -> None:
    """And asks for two bits a policy."""
    switches = modes.pack()
    assert unpack(switches) == modes
    assert switches < 4 ** len(Policy)
    assert [STATES[state_of(switches, policy)] for policy in Policy] == list(modes)


@given(MODES)
def test_observing_all_leaves_nothing_that_governs(modes: Modes) -> None:
    """What is off stays off; done twice it changes nothing more."""
    seen = observe_all(modes.pack())
    expected = ["off" if mode == "off" else "observe" for mode in modes]
    assert list(unpack(seen)) == expected
    assert observe_all(seen) == seen
    assert observes_any(seen) == ("observe" in expected)


@given(MODES)
def test_whether_any_observes(modes: Modes) -> None:
    """One word decides."""
    assert observes_any(modes.pack()) == ("observe" in modes)


def test_every_act_has_its_policy() -> None:
    """Each reason for which something is done to a request that had room belongs to a switch."""
    never_switched = {
        *(Reason.UNTOUCHED, Reason.EXEMPT, Reason.HELD_BACK, Reason.OBSERVED),
        *(Reason.CAPPED, Reason.QUARANTINED),  # an envelope's own on_deviation says what is done
        *(Reason.CAPACITY_FREED, Reason.LINE_TOO_LONG, Reason.PATIENCE_SPENT, Reason.LINE_FULL),
    }
    assert set(POLICY_OF) == set(Reason) - never_switched
    assert set(POLICY_OF.values()) == set(Policy)


def test_other_words_are_refused() -> None:
    """A state that is none is an error where it is packed, not a policy that is off."""
    with pytest.raises(ValueError, match="observed"):
        Modes(hold="observed").pack()
    assert STATES[OFF] == "off"

"""What is left of a quota: as told, less what others spend, and only to whom it belongs."""

from __future__ import annotations

import pytest

from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.quotas import QuotaLeft, read_quotas_left
from governor.core.shaping import Shaping
from policies.limit import FixedLimit
from signals import SignalBank

S = 1_000_000_000
REQUESTS, TOKENS, UNNAMED = 0, 1, 4


def make_gate(acceleration: float | None = None) -> Gate:
    """Return a gate of one endpoint."""
    return Gate(
        "tools",
        [FixedLimit(4)],
        SignalBank(64),
        Identities(16, 64, 64),
        shaping=Shaping(acceleration=acceleration),
    )


def test_nothing_is_known_of_a_quota_that_was_never_told() -> None:
    """No notes and no ramp: nothing to say."""
    assert read_quotas_left(make_gate(), 3, 5 * S) == []


def test_a_quota_belongs_to_the_credential_that_it_was_told_to() -> None:
    """Neither another tenant nor the shared overflow entry hears of it; nor of tokens."""
    gate = make_gate()
    gate.observe_quota(S, 3, REQUESTS, 100, 40, 30 * S)
    gate.observe_quota(S, 3, TOKENS, 9_000, 10, 30 * S)
    gate.observe_quota(S, 3, UNNAMED, 50, 20, 0)
    gate.observe_quota(S, 0, REQUESTS, 10, 1, 0)
    assert read_quotas_left(gate, 3, 11 * S) == [
        QuotaLeft("requests", 100, 0, 40, 20.0),
        QuotaLeft("upstream", 50, 0, 20, 0.0),
    ]
    assert read_quotas_left(gate, 2, 11 * S) == []
    assert read_quotas_left(gate, 0, 11 * S) == []


def test_what_others_spend_since_the_note_is_taken_off() -> None:
    """At ten a second, what was told two seconds ago is twenty less, never below nothing."""
    gate = make_gate()
    for second in range(1, 6):
        gate.observe_quota(second * S, 3, REQUESTS, 100, 100 - 10 * second, 0)
    assert read_quotas_left(gate, 3, 5 * S)[0].left == 50
    assert 25 <= read_quotas_left(gate, 3, 7 * S)[0].left <= 31
    assert read_quotas_left(gate, 3, 30 * S)[0].left == 0


@pytest.mark.parametrize(("reset_s", "later_s"), [(5, 6), (0, 62)])
def test_an_old_note_says_nothing(reset_s: int, later_s: int) -> None:
    """After its reset, or after a minute, what was told is no longer known."""
    gate = make_gate()
    gate.observe_quota(S, 3, REQUESTS, 100, 40, reset_s * S)
    assert read_quotas_left(gate, 3, 2 * S) != []
    assert read_quotas_left(gate, 3, (1 + later_s) * S) == []


def test_a_ramp_is_said_and_only_its_end_is_a_number() -> None:
    """The rate that may be sent now; what is left only where nothing is: it is the fleet's."""
    gate = make_gate(acceleration=2.0)
    ramp = gate.shaping.acceleration
    assert ramp is not None
    assert read_quotas_left(gate, 3, S) == [QuotaLeft("acceleration", 1, 1, -1, 0.0)]
    ramp.take()
    assert read_quotas_left(gate, 3, S) == [QuotaLeft("acceleration", 1, 1, 0, 0.0)]

"""The gate before a provider with a quota: a herd is refused in part, then served at the rate."""

from __future__ import annotations

from typing import cast

import pytest

from policies.decision import Reason
from signals import SignalBank
from tests.core.quota_service import Provider, make_world
from tests.core.test_gate import MS, SilentSignals, fill, make_gate


@pytest.mark.parametrize(
    "provider",
    [Provider(), Provider(retry_after_s=1), Provider(quota_hz=200.0, depth=100.0)],
    ids=["80/s", "asks for 1 s", "200/s"],
)
def test_a_herd_is_served_at_the_quota(provider: Provider) -> None:
    """All are served, at most 2 % of the later calls refused, and 90 % of the tokens used."""
    world = make_world(provider, 1, cast(SignalBank, SilentSignals())).run()
    found = world.figures(provider.at_s + provider.retry_after_s, provider.at_s)
    assert found["ok"] == 1.0
    assert found["used"] >= 0.9
    assert found["after"] <= 0.02 * len(world.accepted_s)
    assert world.gate.shaping.quota.rate_hz == pytest.approx(provider.quota_hz, rel=0.1)


def test_a_known_quota_meets_a_second_herd_without_refusals() -> None:
    """Who comes while the quota is known waits instead of being refused."""
    provider = Provider(again_at_s=30.0, stop_s=34.0)
    world = make_world(provider, 2, cast(SignalBank, SilentSignals())).run()
    assert sum(at_s >= 30.0 for at_s in world.refused_s) <= 6
    assert all(task.is_done for task in world.tasks)
    assert world.gate.ledger.n_waited_for[Reason.OVER_QUOTA] > 0


def test_a_quota_leaves_nobody_untouched_on_the_short_way() -> None:
    """While a rate binds, an arrival without a token waits though there are places."""
    gate = make_gate(limit=100)
    quota = gate.shaping.quota
    for n in range(40):
        quota.on_refused(n * 10 * MS, n * 10 * MS, n)
    gate.tick(400 * MS)
    assert quota.is_known
    decisions = fill(gate, 30, 400 * MS)
    assert decisions[-1].reason is Reason.OVER_QUOTA
    assert gate.tick(500 * MS)

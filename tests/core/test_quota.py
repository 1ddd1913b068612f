"""The gate before a provider with a quota: a herd is refused in part, then served at the rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from governor.core.arrival import Arrival
from governor.core.lease import Decision
from policies.decision import Action, Outcome, Reason
from policies.limit import AdaptiveLimit
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


def test_a_back_end_that_refuses_one_kind_paces_nobody() -> None:
    """Where one route's calls are refused and another's are not, no rate of the upstream is short.

    Nor are its places: neither quota nor ceiling is believed, and the capacity stays.
    """
    gate = make_gate()
    gate.endpoints[0].limit = AdaptiveLimit(rng_seed=1)
    was_suspected = False

    def play(now_ns: int, decisions: Sequence[Decision]) -> None:
        todo = list(decisions)
        for decision in todo:
            if decision.action is Action.ADMIT:
                is_refused = decision.lease.arrival.kind == 1 and now_ns > 1_000 * MS
                outcome = Outcome.REFUSED if is_refused else Outcome.COMPLETED
                status = 503 if is_refused else 200
                todo += gate.depart(now_ns + 2 * MS, decision.lease, outcome, status)

    for now_ns in range(0, 3_000 * MS, 5 * MS):
        kind = 1 + now_ns // (5 * MS) % 2
        arrival = Arrival(tenant=1, flow=1, tree=1, kind=kind, is_identified=True)
        play(now_ns, [gate.arrive(now_ns, arrival, None)])
        if now_ns % (50 * MS) == 0:
            play(now_ns, gate.tick(now_ns))
        was_suspected = was_suspected or gate.shaping.quota.is_known
    assert gate.faults.n == 0
    assert was_suspected
    assert not gate.shaping.quota.is_known
    explained = gate.endpoints[0].limit.explain()
    assert explained["refused_above"] == 0
    assert explained["accepted_hz"] == 0.0

"""Who yields to whom, as the state page and the metrics say it."""

from __future__ import annotations

import json

import orjson

from governor.control.collector import GATE_ROWS
from governor.control.decisions import describe_entry
from governor.control.shaping import describe_shaping
from governor.control.state import describe_ledger
from governor.core.arrival import Arrival
from governor.core.decision_log import DecisionLog
from governor.core.shaping import Modes, Shaping
from policies.decision import Outcome
from tests.core.test_gate import make_gate
from tests.core.test_shaping import S, crowd, finish, hang, lengthen


def test_a_calm_gate_says_nothing() -> None:
    """Numbers are there, sentences are not."""
    found = json.loads(orjson.dumps(describe_shaping(make_gate())))
    assert found["in_words"] == []
    assert found["waiting"] == {"own": 0, "long": 0, "crowd": 0, "hung": 0}
    assert found["holdback"]["benefit"] is None
    assert found["acceleration"] is None


def test_a_crowd_that_waits_is_told() -> None:
    """With how many, and that they let others go first."""
    gate = make_gate(limit=4)
    crowd(gate, S, 60)
    found = describe_shaping(gate)
    assert found["in_words"] == ["52 that came in a crowd let others go first."]
    assert found["waiting"]["crowd"] == 52
    waits = dict(GATE_ROWS["governor_decisions_total"](gate))
    assert waits["wait", "over_limit"] + waits.get(("wait", "held"), 0) == 56


def test_containment_is_told() -> None:
    """How many places the long calls have, and how many are kept."""
    gate = make_gate(limit=8)
    lengthen(gate, S)
    [sentence] = describe_shaping(gate)["in_words"]
    kept = gate.shaping.containment.kept_places
    assert sentence.endswith(f"{kept} of 8 are kept for brief ones.")
    assert list(GATE_ROWS["governor_places_kept"](gate)) == [((), kept)]


def test_a_hung_kind_is_told() -> None:
    """How many of its calls hold places, and how many may."""
    gate = make_gate(limit=100)
    now_ns, waiting = hang(gate, S)
    [sentence] = describe_shaping(gate)["in_words"]
    found = describe_shaping(gate)["contain"]
    assert found["hangs_found"] == 1
    assert sentence.endswith(f"no more may than {found['hung_cap']}.")
    assert found["hung_in_flight"] >= found["hung_cap"]
    assert describe_shaping(gate)["waiting"]["hung"] == len(waiting) > 0
    assert now_ns > S


def test_steep_demand_is_told() -> None:
    """With the rate that may be sent now."""
    gate = make_gate(limit=100, shaping=Shaping(acceleration=2.0))
    crowd(gate, S, 5)
    [sentence] = describe_shaping(gate)["in_words"]
    assert "1.0 calls a second may be sent now" in sentence


def test_the_benefit_is_told_with_its_interval() -> None:
    """Once both arms have enough calls; the metric has the three numbers."""
    gate = make_gate(limit=1000, shaping=Shaping(holdback_share=0.5))
    assert list(GATE_ROWS["governor_holdback_benefit_ratio"](gate)) == []
    for number in range(600):
        flow = 1 + number % 9
        decision = gate.arrive(S + number * S, Arrival(tenant=1, flow=flow))
        if gate.shaping.holdback.is_held_back(flow):
            gate.depart(S + number * S, decision.lease, Outcome.FAILED, 500)
        else:
            finish(gate, S + number * S, decision)
    [sentence] = describe_shaping(gate)["in_words"]
    assert sentence.startswith("Governing adds +100.0% to the share of calls that end well")
    rows = dict(GATE_ROWS["governor_holdback_benefit_ratio"](gate))
    assert rows["low",] < rows["estimate",] <= rows["high",] <= 1.0


def test_what_is_only_observed_is_counted() -> None:
    """Under the reason that it would have had."""
    log = DecisionLog()
    gate = make_gate(limit=40, shaping=Shaping(Modes(hold="observe")), log=log)
    gate.signals.organic_hz = lambda: 50.0  # type: ignore[method-assign]
    gate.signals.retry_ratio = gate.signals.synchrony_nats = lambda: 0.0  # type: ignore[method-assign]
    for n in range(5):
        gate.tick(n * 50_000_000)
    crowd(gate, S, 40)
    assert describe_shaping(gate)["policies"]["hold"] == "observe"
    assert describe_ledger(gate)["observed"] == {"held": 10}
    assert dict(GATE_ROWS["governor_decisions_total"](gate))["observed", "held"] == 10
    shown = [describe_entry(entry, 0, gate.identities) for entry in log.last(10)]
    assert {(x["action"], x["reason"], x["observed"]) for x in shown} == {
        ("admit", "observed", "held")
    }

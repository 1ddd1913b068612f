"""The state page: what every signal reads and every policy does, now.

*Rule of this file*: one function from the runtime to plain values, seconds and
words. Identities appear as indices or salted labels, never as what a caller
sent.
"""

from __future__ import annotations

from heapq import nlargest
from typing import Any

import governor
from governor.control.health import compute_readiness
from governor.control.shaping import describe_shaping
from governor.control.view import RuntimeView
from governor.control.words import describe_propagation, describe_service, put_in_words
from governor.core.endpoint import Endpoint
from governor.core.gate import Gate
from governor.core.identity import Identities, IdentityTable
from policies.decision import Outcome
from signals import Reading, SignalBank
from signals.culprits import Culprits

Json = dict[str, Any]

BUSIEST = 10
"""Entries shown per identity table."""


def describe_runtime(runtime: RuntimeView, now_ns: int) -> Json:
    """Return the whole page."""
    return {
        "version": governor.__version__,
        "mode": runtime.config.policies.mode,
        "status": compute_readiness(runtime)[1],
        "uptime_s": max(0, now_ns - runtime.started_at_ns) / 1e9,
        "event_loop_lag_s": {
            "recent_worst": runtime.lag.recent_s,
            "p99_at_most": runtime.lag.histogram.quantile_ns(0.99) / 1e9,
        },
        "proxy": describe_proxy(runtime),
        "fleet": None if runtime.fleet is None else runtime.fleet.describe(now_ns),
        "upstreams": {
            name: describe_gate(gate, _endpoint_urls(runtime, name), runtime.identities, now_ns)
            for name, gate in runtime.gates.items()
        },
        "identities": {
            table.prefix: describe_table(table)
            for table in (
                runtime.identities.tenants,
                runtime.identities.flows,
                runtime.identities.trees,
            )
        },
        "flow_rows": describe_rows(runtime),
        "propagation": describe_trouble(runtime),
        "services": describe_services(runtime),
        "explosions": describe_explosions(runtime),
        "interventions": runtime.decision_log.n_appended,
        "workers": [worker._asdict() for worker in runtime.workers],
        "recorder": None if runtime.recorder is None else runtime.recorder.describe(),
    }


def describe_proxy(runtime: RuntimeView) -> Json:
    """Return the data plane's counters and typical durations."""
    stats = runtime.proxy.stats
    found: Json = {}
    for name in sorted(type(stats).__slots__):
        value = getattr(stats, name)
        if isinstance(value, int | dict):
            found[name] = value
    for name in ("overhead", "waiting", "first_byte"):
        histogram = getattr(stats, name)
        found[f"{name}_s"] = {
            "count": histogram.count,
            "p50_at_most": histogram.quantile_ns(0.5) / 1e9,
            "p99_at_most": histogram.quantile_ns(0.99) / 1e9,
        }
    return found


def describe_gate(gate: Gate, urls: tuple[str, ...], identities: Identities, now_ns: int) -> Json:
    """Return one upstream: its endpoints, its line, its slots, its ledger, its signals."""
    dispatcher, reservations = gate.dispatcher, gate.reservations
    return {
        "mode": "observe" if gate.is_observing else "govern",
        "in_flight": gate.in_flight,
        "endpoints": [
            {
                "url": urls[endpoint.idx] if endpoint.idx < len(urls) else "",
                "in_flight": endpoint.in_flight,
                "limit": endpoint.limit.limit,
                "why": endpoint.limit.explain(),
                **describe_health(endpoint, gate.now_ns),
            }
            for endpoint in gate.endpoints
        ],
        "capacity_hz": dispatcher.capacity_hz,
        "best_capacity_hz": gate.best_capacity_hz,
        "response_s": dispatcher.response_ns / 1e9,
        "line": {
            "length": gate.line_length,
            "expected_wait_s": dispatcher.expected_wait_ns / 1e9,
            "is_newest_first": dispatcher.is_newest_first,
            "max_wait_s": dispatcher.max_wait_ns / 1e9,
            "max_waiting": dispatcher.max_waiting,
        },
        "patience": {
            "typical_s": gate.patience.typical_ns / 1e9,
            "is_learned": gate.patience.is_learned,
        },
        "slots": {
            "outstanding": reservations.n_outstanding,
            "made": reservations.n_made,
            "kept": reservations.n_kept,
            "horizon_s": reservations.horizon_ns / 1e9,
        },
        "shaping": describe_shaping(gate),
        "refusals": {
            "seen": gate.refused.n_refused,
            "is_storm": gate.refused.is_storm(now_ns),
            "slots_given": gate.refused.n_slots,
            "told_not_to_retry": gate.refused.n_no_retry,
            "absorbed": gate.refused.n_absorbed,
            "absorbed_waiting": gate.refused.n_parked,
        },
        "ledger": describe_ledger(gate),
        **describe_signals(gate.signals, identities),
    }


def describe_health(endpoint: Endpoint, now_ns: int) -> Json:
    """Return what the calls have taught the choice; those of a single endpoint teach nothing."""
    health, pace = endpoint.health, endpoint.pace
    return {
        "state": health.state,
        "share": health.share(now_ns),
        "cost_s": endpoint.cost(now_ns),
        "first_byte_s": pace.read_ns(now_ns) / 1e9,
        "is_slow": endpoint.is_slow,
        "rests_s": max(0, health.rests_until_ns - now_ns) / 1e9 if health.is_sick else 0.0,
        "failures": health.n_failures,
        "ejections": health.n_ejections,
    }


def describe_signals(signals: SignalBank, identities: Identities) -> Json:
    """Return what one upstream's signals say, in words and in numbers, and of whom."""
    found = {reading.name: reading for reading in signals.read()}
    tenants = identities.tenants
    return {
        "in_words": put_in_words(found, tenants.label, identities.trees.label),
        "signals": {name: describe_reading(reading) for name, reading in found.items()},
        "forecast_hz": [round(rate_hz, 2) for rate_hz in signals.forecast_hz()],
        "awaited_back": describe_culprits(signals.culprits(BUSIEST), identities),
        "costliest_tenants": {
            tenants.label(idx): {"caused_s": caused_s, "suffered_s": suffered_s, "share": share}
            for idx, caused_s, suffered_s, share in signals.costliest_tenants(BUSIEST)
        },
    }


def describe_culprits(culprits: Culprits, identities: Identities) -> Json:
    """Return whose failed calls have not come back yet, the most first."""
    tables = {
        "flows": (identities.flows, culprits.flows),
        "tenants": (identities.tenants, culprits.tenants),
        "trees": (identities.trees, culprits.trees),
    }
    return {
        "failures": culprits.n_pending,
        "callers": culprits.n_flows,
        **{
            name: {table.label(x.idx): x.n_pending for x in found}
            for name, (table, found) in tables.items()
        },
    }


def describe_trouble(runtime: RuntimeView) -> list[str]:
    """Return where trouble comes from, in words; its numbers are among every upstream's signals."""
    names = list(runtime.gates)
    if not names:
        return []
    found = {reading.name: reading for reading in runtime.gates[names[0]].signals.read()}
    return describe_propagation(found, names.__getitem__)


def describe_services(runtime: RuntimeView) -> list[Json]:
    """Return the time that each upstream takes of its own, now and before, the most shifted first.

    ``inclusive_p90_s`` counts what it waits for others too.
    """
    gates = list(runtime.gates.values())
    if not gates:
        return []
    names = list(runtime.gates)
    return [
        {
            "upstream": names[row.upstream] if row.upstream < len(names) else "",
            "in_words": describe_service(row),
            "calls_a_minute": row.calls,
            "own_p50_s": row.own_p50,
            "own_p90_s": row.own_p90,
            "past_p50_s": row.past_p50,
            "past_p90_s": row.past_p90,
            "inclusive_p90_s": row.inclusive_p90,
            "z50": row.z50,
            "z90": row.z90,
            "calls_made": row.children,
        }
        for row in gates[0].signals.describe_services()
    ]


def describe_explosions(runtime: RuntimeView) -> list[Json]:
    """Return the trees that fanned out without measure, the latest first, over all upstreams."""
    gates = list(runtime.gates.values())
    if not gates:
        return []
    names = list(runtime.gates)
    label = runtime.identities.trees.label
    return [
        {
            "tree": label(x.tree),
            "upstream": names[x.upstream] if x.upstream < len(names) else "",
            "age_s": x.age_s,
            "grew_s": x.grew_s,
            "doubling_s": x.doubling_s,
            "peak_calls": x.peak,
            "is_over": x.ended_s >= 0,
        }
        for x in gates[0].signals.explosions()
    ]


def describe_ledger(gate: Gate) -> Json:
    """Return where the upstream's seconds went and what the gate did since the start."""
    ledger = gate.ledger
    return {
        "waste_ratio": ledger.waste_ratio,
        "upstream_s": {
            "useful": ledger.useful_s,
            "orphaned": ledger.orphaned_s,
            "retried": ledger.retried_s,
            "refused": ledger.refused_s,
        },
        "outcomes": {x.name.lower(): ledger.n_by_outcome[x] for x in Outcome},
        "arrived": ledger.n_arrived,
        "retries": ledger.n_attempts_repeated,
        "untouched": ledger.n_untouched,
        "waited": ledger.n_waited,
        "waited_s": ledger.waited_s,
        "left_waiting": ledger.n_left_waiting,
        "rerouted": ledger.n_rerouted,
        "diverted": ledger.n_diverted,
        "answered": {reason.value: count for reason, count in ledger.n_answered.items()},
        "observed": {reason.value: count for reason, count in ledger.n_observed.items()},
        "faults": ledger.n_faults,
        "faults_of": {part.value: n for part, n in ledger.faults.by_part.items()},
    }


def describe_reading(reading: Reading) -> Json:
    """Return one reading by field."""
    return {
        "value": reading.value,
        "unit": reading.unit,
        "samples": reading.samples,
        "is_ready": reading.is_ready,
    }


def describe_table(table: IdentityTable) -> Json:
    """Return how full one identity table is, and who has the most requests open."""
    n_open = table.n_open
    busiest = nlargest(BUSIEST, range(len(n_open)), key=n_open.__getitem__)
    return {
        "used": len(table),
        "capacity": table.capacity,
        "overflowed": table.n_overflowed,
        "busiest": {table.label(idx): n_open[idx] for idx in busiest if n_open[idx]},
    }


def describe_rows(runtime: RuntimeView) -> Json:
    """Return how full the pool is that remembers flows at upstreams, over all upstreams."""
    for gate in runtime.gates.values():
        return gate.signals.describe_rows()._asdict()
    return {}


def _endpoint_urls(runtime: RuntimeView, name: str) -> tuple[str, ...]:
    upstream = runtime.config.upstreams.get(name)
    return upstream.endpoints if upstream is not None else ()

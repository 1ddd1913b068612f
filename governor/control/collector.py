"""Turns plain integers into Prometheus families, when asked and only then.

*Rule of this file*: reading. The numbers belong to gates, the data plane, the
tally; names and help come from :mod:`governor.control.metrics`. The request's
path never meets the client library, whose counters take a lock each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from time import monotonic_ns
from typing import Any

from prometheus_client import Metric as Family
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

import governor
from governor.control.metrics import METRICS
from governor.control.signal_metrics import PROCESS_ROWS, SIGNAL_ROWS, SIGNALS
from governor.control.view import RuntimeView
from governor.core.gate import Gate
from governor.proxy.histogram import Histogram
from policies.decision import Outcome
from signals.shape import SHAPES

Row = tuple[tuple[str, ...], float]
"""Label values in the table's order, and the number."""


def make_family(name: str, rows: Iterable[Row]) -> Family:
    """Build one counter or gauge of the table from its rows."""
    metric = METRICS[name]
    make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family: Family = make(name, metric.help, labels=metric.labels)
    for labels, value in rows:
        family.add_metric(labels, value)  # type: ignore[attr-defined]
    return family


def make_histogram(name: str, rows: Iterable[tuple[tuple[str, ...], Histogram]]) -> Family:
    """Build one histogram of the table; bounds and sum become seconds."""
    metric = METRICS[name]
    family = HistogramMetricFamily(name, metric.help, labels=metric.labels)
    for labels, histogram in rows:
        below = 0
        buckets = []
        for bound_ns, count in zip(histogram.bounds_ns, histogram.counts, strict=False):
            below += count
            buckets.append((f"{bound_ns / 1e9:.12g}", float(below)))
        buckets.append(("+Inf", float(below + histogram.counts[-1])))
        family.add_metric(labels, buckets, histogram.sum_ns / 1e9)
    return family


class GovernorCollector(Collector):
    """All of Governor's own families.

    Parameters
    ----------
    runtime : RuntimeView
    """

    def __init__(self, runtime: RuntimeView) -> None:
        self._runtime = runtime

    def describe(self) -> Iterable[Family]:
        """Promise nothing at registration, so that nothing is read before the first scrape."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Read everything once."""
        yield from self._collect_requests()
        yield from self._collect_connections()
        yield from self._collect_gates()
        yield from self._collect_signals()
        yield from self._collect_fleet()
        yield from self._collect_self()

    def _collect_requests(self) -> Iterator[Family]:
        stats, tally = self._runtime.proxy.stats, self._runtime.tally
        yield make_family(
            "governor_requests_total", ((count[:-1], count.n) for count in tally.read())
        )
        durations = ((key, route.durations) for key, route in tally.routes.items())
        yield make_histogram("governor_request_duration_seconds", durations)
        yield make_histogram("governor_overhead_seconds", [((), stats.overhead)])
        yield make_histogram("governor_deferral_seconds", [((), stats.waiting)])
        yield make_histogram("governor_upstream_ttfb_seconds", [((), stats.first_byte)])
        own = (((reason,), count) for reason, count in stats.n_own_answers.items())
        yield make_family("governor_own_answers_total", own)
        yield make_family("governor_callers_left_total", [((), stats.n_left)])
        yield make_family("governor_malformed_hints_total", [((), stats.n_malformed_hints)])

    def _collect_connections(self) -> Iterator[Family]:
        stats = self._runtime.proxy.stats
        plain = {
            "governor_connections": stats.n_connections,
            "governor_connections_accepted_total": stats.n_connections_accepted,
            "governor_connections_refused_total": stats.n_connections_refused,
            "governor_tunnels": stats.n_tunnels,
            "governor_upstream_resends_total": stats.n_retried_on_dead,
            "governor_upstream_connect_failures_total": stats.n_connect_failures,
            "governor_upstream_broken_total": stats.n_upstream_broken,
        }
        for name, value in plain.items():
            yield make_family(name, [((), value)])
        yield make_family(
            "governor_transferred_bytes_total",
            [(("in",), stats.bytes_from_callers), (("out",), stats.bytes_to_callers)],
        )
        yield make_family(
            "governor_upstream_requests_total",
            [(("fresh",), stats.n_upstream_fresh), (("kept",), stats.n_upstream_reused)],
        )

    def _collect_gates(self) -> Iterator[Family]:
        for name, read in GATE_ROWS.items():
            rows = (
                ((upstream, *labels), value)
                for upstream, gate in self._runtime.gates.items()
                for labels, value in read(gate)
            )
            yield make_family(name, rows)

    def _collect_signals(self) -> Iterator[Family]:
        rows: dict[str, list[Row]] = {name: [] for name in SIGNALS}
        for idx, (upstream, gate) in enumerate(self._runtime.gates.items()):
            for reading in gate.signals.read():
                if reading.name in SIGNAL_ROWS:
                    name, labels = SIGNAL_ROWS[reading.name]
                    rows[name].append(((upstream, *labels), reading.value))
                elif reading.name in PROCESS_ROWS:
                    rows[PROCESS_ROWS[reading.name]] = [((), reading.value)]
                elif reading.name == "propagation_service":
                    is_named = float(reading.is_ready and reading.value == idx)
                    rows["governor_trouble_source"].append(((upstream,), is_named))
                elif reading.name == "load_shape":
                    rows["governor_load_shape"] += (
                        ((upstream, shape), float(code == reading.value))
                        for code, shape in enumerate(SHAPES)
                    )
        for name, found in rows.items():
            yield make_family(name, found)

    def _collect_fleet(self) -> Iterator[Family]:
        fleet = self._runtime.fleet
        seen = fleet.describe(monotonic_ns())["upstreams"] if fleet is not None else {}
        for name, read in FLEET_ROWS.items():
            rows = (((up, *more), value) for up, x in seen.items() for more, value in read(x))
            yield make_family(name, rows)

    def _collect_self(self) -> Iterator[Family]:
        runtime = self._runtime
        log = runtime.access_log
        faults = {
            "gate": sum(gate.ledger.n_faults for gate in runtime.gates.values()),
            "proxy": runtime.proxy.stats.n_faults,
            "registry": runtime.registry.n_faults,
            "decision_log": runtime.decision_log.n_faults,
            "access_log": log.n_faults if log else 0,
        }
        yield make_family(
            "governor_faults_total", (((part,), count) for part, count in faults.items())
        )
        yield make_histogram("governor_event_loop_lag_seconds", [((), runtime.lag.histogram)])
        identities = runtime.identities
        tables = (identities.tenants, identities.flows, identities.trees)
        overflowed: list[Row] = [((table.prefix,), table.n_overflowed) for table in tables]
        used: list[Row] = [((table.prefix,), len(table)) for table in tables]
        for gate in list(runtime.gates.values())[:1]:  # the pool of rows is the process's
            rows = gate.signals.describe_rows()
            overflowed.append((("flow_row",), rows.overflowed))
            used.append((("flow_row",), rows.used))
        yield make_family("governor_identities_overflow_total", overflowed)
        yield make_family("governor_identities", used)
        lines = {"written": log.n_written if log else 0, "dropped": log.n_dropped if log else 0}
        yield make_family(
            "governor_access_log_lines_total",
            (((state,), count) for state, count in lines.items()),
        )
        shippers = runtime.telemetry.shippers if runtime.telemetry is not None else {}
        records: list[Row] = []
        for signal, shipper in shippers.items():
            records.append(((signal, "shipped"), shipper.n_shipped))
            records.append(((signal, "dropped"), shipper.n_dropped))
            records.append(((signal, "failed"), shipper.n_failed))
        yield make_family("governor_telemetry_records_total", records)
        workers = runtime.workers
        by_status = Counter(worker.status for worker in workers)
        yield make_family("governor_workers", (((x,), n) for x, n in by_status.items()))
        starts = (((str(x.worker),), x.n_started) for x in workers)
        yield make_family("governor_worker_starts_total", starts)
        unasked = (((str(x.worker),), x.n_unasked) for x in workers)
        yield make_family("governor_unasked_total", unasked)
        is_ready = runtime.is_ready and not runtime.is_draining
        yield make_family("governor_ready", [((), float(is_ready))])
        info = (governor.__version__, runtime.config.policies.mode)
        yield make_family("governor_build_info", [(info, 1.0)])


def _read_decisions(gate: Gate) -> Iterator[Row]:
    ledger = gate.ledger
    yield ("admit", "untouched"), ledger.n_untouched
    yield ("admit", "rerouted"), ledger.n_rerouted
    yield ("divert", "fallback"), ledger.n_diverted
    yield ("admit", "held_back"), ledger.n_held_back
    for reason, count in ledger.n_waited_for.items():
        yield ("wait", reason.value), count
    refused = gate.refused
    yield ("wait", "absorbed"), refused.n_absorbed
    yield ("admit", "slot_given"), refused.n_slots
    yield ("admit", "no_retry"), refused.n_no_retry
    yield ("admit", "coalesced"), ledger.n_by_outcome[Outcome.COALESCED]
    for reason, count in ledger.n_answered.items():
        yield ("answer", reason.value), count
    for reason, count in ledger.n_observed.items():
        yield ("observed", reason.value), count


def _read_benefit(gate: Gate) -> Iterator[Row]:
    estimate = gate.shaping.holdback.estimate()
    if estimate is not None:
        yield ("estimate",), estimate.benefit
        yield ("low",), estimate.low
        yield ("high",), estimate.high


def _read_seconds(gate: Gate) -> Iterator[Row]:
    ledger = gate.ledger
    yield ("useful",), ledger.useful_s
    yield ("orphaned",), ledger.orphaned_s
    yield ("retried",), ledger.retried_s
    yield ("refused",), ledger.refused_s


def _read_outcomes(gate: Gate) -> Iterator[Row]:
    for outcome in Outcome:
        yield (outcome.name.lower(),), gate.ledger.n_by_outcome[outcome]
    yield ("left_waiting",), gate.ledger.n_left_waiting


def _read_endpoints(read: Callable[[Gate, int], float]) -> Callable[[Gate], Iterator[Row]]:
    def rows(gate: Gate) -> Iterator[Row]:
        for idx in range(len(gate.endpoints)):
            yield (str(idx),), read(gate, idx)

    return rows


FLEET_ROWS: dict[str, Callable[[dict[str, Any]], Iterable[Row]]] = {
    "governor_fleet_governors": lambda x: [((), x["governors"])],
    "governor_fleet_view_fresh": lambda x: [((), int(x["is_fresh"]))],
    "governor_fleet_share_ratio": lambda x: [((), x["share"])],
    "governor_fleet_limit": lambda x: [((), x["limit"])],
    "governor_fleet_in_flight": lambda x: [((), x["fleet"]["in_flight"])],
    "governor_fleet_storm": lambda x: [((), int(x["storm"]["is_on"]))],
    "governor_fleet_exchanges_total": lambda x: [
        (("done",), x["exchanges"]["done"]),
        (("failed",), x["exchanges"]["failed"]),
    ],
    "governor_fleet_exchange_seconds_total": lambda x: [((), x["exchanges"]["sum_s"])],
    "governor_fleet_sent_bytes_total": lambda x: [((), x["exchanges"]["bytes_out"])],
}
"""Family to its rows for one upstream of the fleet."""

GATE_ROWS: dict[str, Callable[[Gate], Iterable[Row]]] = {
    "governor_decisions_total": _read_decisions,
    "governor_in_flight": _read_endpoints(lambda gate, idx: gate.endpoints[idx].in_flight),
    "governor_limit": _read_endpoints(lambda gate, idx: gate.endpoints[idx].limit.limit),
    "governor_endpoint_cost_seconds": _read_endpoints(
        lambda gate, idx: gate.endpoints[idx].cost(gate.now_ns)
    ),
    "governor_endpoint_share_ratio": _read_endpoints(
        lambda gate, idx: gate.endpoints[idx].health.share(gate.now_ns)
    ),
    "governor_endpoint_failures_total": _read_endpoints(
        lambda gate, idx: gate.endpoints[idx].health.n_failures
    ),
    "governor_endpoint_ejections_total": _read_endpoints(
        lambda gate, idx: gate.endpoints[idx].health.n_ejections
    ),
    "governor_absorbed_waiting": lambda gate: [((), gate.refused.n_parked)],
    "governor_upstream_refusals_total": lambda gate: [((), gate.refused.n_refused)],
    "governor_line_length": lambda gate: [((), gate.line_length)],
    "governor_capacity_hz": lambda gate: [((), gate.dispatcher.capacity_hz)],
    "governor_best_capacity_hz": lambda gate: [((), gate.best_capacity_hz)],
    "governor_invitations_total": lambda gate: [
        (("made",), gate.reservations.n_made),
        (("kept",), gate.reservations.n_kept),
    ],
    "governor_places_kept": lambda gate: [((), gate.shaping.containment.kept_places)],
    "governor_holdback_benefit_ratio": _read_benefit,
    "governor_invitations_outstanding": lambda gate: [((), gate.reservations.n_outstanding)],
    "governor_outcomes_total": _read_outcomes,
    "governor_upstream_seconds_total": _read_seconds,
    "governor_waste_ratio": lambda gate: [((), gate.ledger.waste_ratio)],
}
"""Family to its rows for one gate; the upstream's name is put before the labels."""

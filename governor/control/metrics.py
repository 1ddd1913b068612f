"""Every metric's name, kind, labels and help: the one place where they are spelt.

*Rule of this file*: a table and nothing else. Names follow Prometheus' naming
page: base units, ``_total`` on counters only, unit last. Labels are bounded:
names from the configuration and closed lists of words, never anything that a
caller sends.

Beside these, ``prometheus-client`` adds its own ``process_*``, ``python_info``
and ``python_gc_*``.
"""

from __future__ import annotations

from governor.control.metric import Metric
from governor.control.signal_metrics import SIGNALS

METRICS: dict[str, Metric] = {
    # Requests
    "governor_requests_total": Metric(
        "counter",
        "Finished requests by status class of what the caller was answered (4xx holds 499: left) "
        "and by what the gate did.",
        ("upstream", "route", "code_class", "decision"),
    ),
    "governor_request_duration_seconds": Metric(
        "histogram", "Arrival of a request to the end of its answer.", ("upstream", "route")
    ),
    "governor_overhead_seconds": Metric(
        "histogram", "Governor's own work per request: the latency that it adds."
    ),
    "governor_deferral_seconds": Metric(
        "histogram", "Time that requests which waited spent waiting for a place."
    ),
    "governor_upstream_ttfb_seconds": Metric(
        "histogram", "Request sent upstream to first byte of the response."
    ),
    "governor_own_answers_total": Metric(
        "counter", "Answers that Governor gave itself.", ("reason",)
    ),
    "governor_callers_left_total": Metric(
        "counter", "Requests whose caller left before the end of the answer."
    ),
    "governor_malformed_hints_total": Metric(
        "counter", "Hints of callers (deadline, attempt, urgency, trace) that could not be read."
    ),
    # Connections
    "governor_connections": Metric("gauge", "Callers' open connections."),
    "governor_connections_accepted_total": Metric("counter", "Callers' connections accepted."),
    "governor_connections_refused_total": Metric(
        "counter", "Callers' connections closed at once: above the listener's bound."
    ),
    "governor_tunnels": Metric("gauge", "Upgraded connections (WebSocket) now open."),
    "governor_transferred_bytes_total": Metric(
        "counter", "Bytes from and to callers.", ("direction",)
    ),
    "governor_upstream_requests_total": Metric(
        "counter", "Requests sent upstream, on a fresh or a kept connection.", ("connection",)
    ),
    "governor_upstream_resends_total": Metric(
        "counter", "Requests sent again because a kept connection was found dead before a byte."
    ),
    "governor_upstream_connect_failures_total": Metric(
        "counter", "Connections to an upstream that could not be opened."
    ),
    "governor_upstream_broken_total": Metric(
        "counter", "Upstream responses that broke off or could not be forwarded."
    ),
    # Governing
    "governor_decisions_total": Metric(
        "counter",
        "What the gate did with arrivals (admit, wait, answer, divert), or would have done "
        "(observed).",
        ("upstream", "action", "reason"),
    ),
    "governor_in_flight": Metric(
        "gauge", "Requests in flight at an endpoint.", ("upstream", "endpoint")
    ),
    "governor_limit": Metric(
        "gauge", "Present in-flight limit of an endpoint.", ("upstream", "endpoint")
    ),
    "governor_endpoint_cost_seconds": Metric(
        "gauge",
        "What one more call would cost at an endpoint: time to first byte times calls in flight.",
        ("upstream", "endpoint"),
    ),
    "governor_endpoint_share_ratio": Metric(
        "gauge",
        "Part of its share that an endpoint gets: 0 out of use, rising while it returns, else 1.",
        ("upstream", "endpoint"),
    ),
    "governor_endpoint_failures_total": Metric(
        "counter", "Calls that an endpoint failed.", ("upstream", "endpoint")
    ),
    "governor_endpoint_ejections_total": Metric(
        "counter", "Times that an endpoint was put out of use.", ("upstream", "endpoint")
    ),
    "governor_upstream_refusals_total": Metric(
        "counter", "429 and 503 that the upstream answered, waited out or not.", ("upstream",)
    ),
    "governor_absorbed_waiting": Metric(
        "gauge", "Requests whose refusal is being waited out.", ("upstream",)
    ),
    "governor_line_length": Metric("gauge", "Requests that wait for a place.", ("upstream",)),
    "governor_capacity_hz": Metric(
        "gauge", "Estimated capacity, requests per second; 0 while unknown.", ("upstream",)
    ),
    "governor_best_capacity_hz": Metric(
        "gauge", "Best known capacity, requests per second; 0 while unknown.", ("upstream",)
    ),
    "governor_places_kept": Metric(
        "gauge", "Places that calls of long kinds leave to brief ones.", ("upstream",)
    ),
    "governor_holdback_benefit_ratio": Metric(
        "gauge",
        "Share of calls that end well, governed less held back: estimate and 95 % interval.",
        ("upstream", "bound"),
    ),
    "governor_invitations_total": Metric(
        "counter", "Retry slots: given to callers, and kept by them.", ("upstream", "state")
    ),
    "governor_invitations_outstanding": Metric(
        "gauge", "Retry slots given and neither kept nor expired.", ("upstream",)
    ),
    # What came of it
    "governor_outcomes_total": Metric(
        "counter", "Closed leases by how they ended.", ("upstream", "outcome")
    ),
    "governor_upstream_seconds_total": Metric(
        "counter",
        "Upstream seconds by who had the use of them: useful, orphaned, retried, refused.",
        ("upstream", "kind"),
    ),
    "governor_waste_ratio": Metric(
        "gauge",
        "Share of upstream seconds since the start that nobody benefited from.",
        ("upstream",),
    ),
    **SIGNALS,
    # The fleet
    "governor_fleet_governors": Metric(
        "gauge", "Governors that share the upstream, as of the last exchange.", ("upstream",)
    ),
    "governor_fleet_view_fresh": Metric(
        "gauge", "1 while decisions rest on a view of all governors, 0 while alone.", ("upstream",)
    ),
    "governor_fleet_share_ratio": Metric(
        "gauge", "This governor's share of the upstream's places.", ("upstream",)
    ),
    "governor_fleet_limit": Metric(
        "gauge", "Requests in flight that all governors together allow.", ("upstream",)
    ),
    "governor_fleet_in_flight": Metric(
        "gauge", "Requests in flight through all governors.", ("upstream",)
    ),
    "governor_fleet_storm": Metric(
        "gauge", "1 while all governors together foresee a storm, else 0.", ("upstream",)
    ),
    "governor_fleet_exchanges_total": Metric(
        "counter",
        "Exchanges with the fleet's server: done, or failed (slow, full or gone).",
        ("upstream", "result"),
    ),
    "governor_fleet_exchange_seconds_total": Metric(
        "counter", "Time that exchanges took; no request waits for them.", ("upstream",)
    ),
    "governor_fleet_sent_bytes_total": Metric(
        "counter", "Bytes of changes told to the fleet's server.", ("upstream",)
    ),
    # Governor itself
    "governor_faults_total": Metric(
        "counter", "Own faults survived: the request went through.", ("part",)
    ),
    "governor_event_loop_lag_seconds": Metric(
        "histogram", "How late the periodic tick fired: delay that every request may meet."
    ),
    "governor_identities": Metric(
        "gauge",
        "Entries of an identity table in use; flow_row: pairs of a flow and an upstream.",
        ("table",),
    ),
    "governor_identities_overflow_total": Metric(
        "counter",
        "Arrivals whose caller shared the overflow entry of a full identity table.",
        ("table",),
    ),
    "governor_access_log_lines_total": Metric(
        "counter", "Access log lines written, and dropped because the disk was slow.", ("state",)
    ),
    "governor_telemetry_records_total": Metric(
        "counter",
        "Records for OpenTelemetry: shipped, dropped from a full queue, failed to be sent.",
        ("signal", "state"),
    ),
    "governor_workers": Metric(
        "gauge", "Processes that serve callers, where there are several.", ("status",)
    ),
    "governor_worker_starts_total": Metric(
        "counter", "Processes started in a worker's place; above 1 it was replaced.", ("worker",)
    ),
    "governor_unasked_total": Metric(
        "counter",
        "Calls let through because the process that decides could not be asked in time.",
        ("worker",),
    ),
    "governor_ready": Metric("gauge", "1 while ready for traffic, else 0."),
    "governor_build_info": Metric(
        "gauge", "Always 1; the labels say what runs.", ("version", "mode")
    ),
}

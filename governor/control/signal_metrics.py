"""The signals as metrics: which reading is which family with which labels.

*Rule of this file*: tables. Labels are upstreams' names and closed lists of
words; callers, however many, never make a time series.
"""

from __future__ import annotations

from governor.control.metric import Metric

_ONE = ("upstream",)

SIGNALS: dict[str, Metric] = {
    "governor_arrival_rate_hz": Metric(
        "gauge", "Arrivals per second; organic: retries left out.", ("upstream", "kind")
    ),
    "governor_identified_ratio": Metric(
        "gauge", "Share of recent arrivals whose agent is known by a header.", _ONE
    ),
    # Synchrony
    "governor_synchrony_nats": Metric(
        "gauge",
        "How unlikely the most synchronous window of the last second is by chance; 20 alarms "
        "(12 for callers without a name).",
        ("upstream", "stream"),
    ),
    "governor_synchrony_excess_flows": Metric(
        "gauge", "Flows in that window beyond what chance explains.", ("upstream", "stream")
    ),
    "governor_synchrony_alarm": Metric(
        "gauge", "1 while callers act in step, else 0.", ("upstream", "stream")
    ),
    "governor_synchrony_alarms_total": Metric(
        "counter", "Times that callers acted in step.", ("upstream", "stream")
    ),
    "governor_synchrony_hint": Metric(
        "gauge", "1 after a burst of callers without a name: no alarm by itself.", _ONE
    ),
    # Retries and the shape of load
    "governor_retry_ratio": Metric(
        "gauge", "Share of retries among the arrivals of the last second.", _ONE
    ),
    "governor_retry_marked_ratio": Metric(
        "gauge", "Share of the retries of the last 10 s that a header marked.", _ONE
    ),
    "governor_retrying_flows": Metric(
        "gauge", "Distinct flows that retried within the last second.", _ONE
    ),
    "governor_failure_ratio": Metric(
        "gauge", "Failures of the last second over its arrivals, at most 1.", _ONE
    ),
    "governor_cascade": Metric(
        "gauge", "1 while retries of many flows feed themselves, else 0.", _ONE
    ),
    "governor_load_shape": Metric(
        "gauge", "1 for what the load is now, 0 for what it is not.", ("upstream", "shape")
    ),
    "governor_reproduction_ratio": Metric(
        "gauge", "Failures that one failure leads to; near 1 a storm feeds itself.", _ONE
    ),
    # Forecast
    "governor_forecast_hz": Metric(
        "gauge",
        "Expected arrivals per second: mean until the horizon from the one before, and peak.",
        ("upstream", "horizon"),
    ),
    "governor_forecast_error_ratio": Metric(
        "gauge",
        "Error of past forecasts beside that of assuming that the last second goes on.",
        ("upstream", "kind"),
    ),
    "governor_storm_alarm": Metric(
        "gauge", "1 while returning callers are expected to pass capacity within 4 s.", _ONE
    ),
    "governor_storm_alarms_total": Metric("counter", "Storms foreseen.", _ONE),
    "governor_storm_crossing_seconds": Metric(
        "gauge", "Time until arrivals pass capacity, while a storm is foreseen.", _ONE
    ),
    "governor_storm_excess_hz": Metric(
        "gauge", "Arrivals per second above capacity at the foreseen peak.", _ONE
    ),
    "governor_pending_failures": Metric("gauge", "Failed calls that have not come back yet.", _ONE),
    "governor_patience_seconds": Metric(
        "gauge", "How long callers wait before they leave, as learned.", _ONE
    ),
    # Saturation
    "governor_proven_capacity_hz": Metric(
        "gauge", "Answers per second that the upstream has shown it can give.", _ONE
    ),
    "governor_utilisation_ratio": Metric("gauge", "Demand over proven capacity.", _ONE),
    "governor_saturated": Metric("gauge", "1 while calls queue at the upstream, else 0.", _ONE),
    "governor_queueing_delay_seconds": Metric(
        "gauge", "Latency to first byte beyond that of an idle upstream.", _ONE
    ),
    "governor_saturation_seconds": Metric(
        "gauge", "Time until demand meets capacity at its present trend; 3600: not in sight.", _ONE
    ),
    "governor_quota_left_ratio": Metric(
        "gauge", "Least share left of the quotas that the upstream tells; 1 if none.", _ONE
    ),
    "governor_quota_seconds": Metric(
        "gauge", "Time until the first quota is used up; 3600: not in sight.", _ONE
    ),
    # Contention
    "governor_contention_ratio": Metric(
        "gauge", "Seconds of waiting that tenants cause each other, a second.", _ONE
    ),
    "governor_costliest_tenant_ratio": Metric(
        "gauge", "Share of that which the costliest tenant causes.", _ONE
    ),
    "governor_fairness_ratio": Metric(
        "gauge", "Jain's index of the tenants' open calls: 1 is even.", _ONE
    ),
    # Over all upstreams
    "governor_trouble_source": Metric(
        "gauge", "1 for the upstream that is slower by itself than its past, else 0.", _ONE
    ),
    "governor_fanout_live_calls": Metric("gauge", "Open calls of the largest tree."),
    "governor_fanout_exploding_trees": Metric("gauge", "Trees that fan out without measure now."),
    "governor_fanout_explosions_total": Metric("counter", "Trees that fanned out so."),
}
"""Every family that shows a reading."""

SIGNAL_ROWS: dict[str, tuple[str, tuple[str, ...]]] = {
    "arrival_rate": ("governor_arrival_rate_hz", ("total",)),
    "organic_rate": ("governor_arrival_rate_hz", ("organic",)),
    "identified_share": ("governor_identified_ratio", ()),
    "synchrony": ("governor_synchrony_nats", ("all",)),
    "retry_synchrony": ("governor_synchrony_nats", ("retries",)),
    "matched": ("governor_synchrony_nats", ("unnamed",)),
    "synchrony_excess": ("governor_synchrony_excess_flows", ("all",)),
    "retry_synchrony_excess": ("governor_synchrony_excess_flows", ("retries",)),
    "synchrony_alarm": ("governor_synchrony_alarm", ("all",)),
    "retry_synchrony_alarm": ("governor_synchrony_alarm", ("retries",)),
    "matched_alarm": ("governor_synchrony_alarm", ("unnamed",)),
    "synchrony_alarms": ("governor_synchrony_alarms_total", ("all",)),
    "retry_synchrony_alarms": ("governor_synchrony_alarms_total", ("retries",)),
    "matched_alarms": ("governor_synchrony_alarms_total", ("unnamed",)),
    "synchrony_hint": ("governor_synchrony_hint", ()),
    "retry_share": ("governor_retry_ratio", ()),
    "retry_marked_share": ("governor_retry_marked_ratio", ()),
    "retrying_flows": ("governor_retrying_flows", ()),
    "failure_share": ("governor_failure_ratio", ()),
    "cascade": ("governor_cascade", ()),
    "reproduction": ("governor_reproduction_ratio", ()),
    "forecast_500ms": ("governor_forecast_hz", ("0.5s",)),
    "forecast_1s": ("governor_forecast_hz", ("1s",)),
    "forecast_2s": ("governor_forecast_hz", ("2s",)),
    "forecast_4s": ("governor_forecast_hz", ("4s",)),
    "forecast_peak": ("governor_forecast_hz", ("peak",)),
    "forecast_error": ("governor_forecast_error_ratio", ("forecast",)),
    "persistence_error": ("governor_forecast_error_ratio", ("persistence",)),
    "storm_alarm": ("governor_storm_alarm", ()),
    "storm_alarms": ("governor_storm_alarms_total", ()),
    "storm_crossing": ("governor_storm_crossing_seconds", ()),
    "storm_excess": ("governor_storm_excess_hz", ()),
    "pending_failures": ("governor_pending_failures", ()),
    "patience": ("governor_patience_seconds", ()),
    "capacity": ("governor_proven_capacity_hz", ()),
    "utilisation": ("governor_utilisation_ratio", ()),
    "saturated": ("governor_saturated", ()),
    "queueing_delay": ("governor_queueing_delay_seconds", ()),
    "seconds_to_saturation": ("governor_saturation_seconds", ()),
    "quota_left": ("governor_quota_left_ratio", ()),
    "quota_seconds": ("governor_quota_seconds", ()),
    "contention": ("governor_contention_ratio", ()),
    "costliest_share": ("governor_costliest_tenant_ratio", ()),
    "fairness": ("governor_fairness_ratio", ()),
}
"""Reading of an upstream to its family and the labels after ``upstream``."""

PROCESS_ROWS: dict[str, str] = {
    "fanout_live": "governor_fanout_live_calls",
    "fanout_exploding": "governor_fanout_exploding_trees",
    "fanout_explosions": "governor_fanout_explosions_total",
}
"""Reading over all upstreams, the same whichever upstream is asked, to its family."""

"""A Grafana dashboard over Governor's metrics, to be imported or provisioned as it is.

*Rule of this file*: a table of panels made into Grafana's JSON. The data source and the upstream
are variables.

*Considered and rejected*: ``__inputs``, by which an import asks for the data source: Grafana
fills it in there only, and a dashboard provisioned from a file finds no source
(grafana/grafana#10786). A variable of type ``datasource`` works in both.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

UP = '{upstream=~"$upstream"}'
WIDTH, HEIGHT, PER_ROW = 12, 8, 2
SCHEMA_VERSION = 39
"""Of Grafana 10 and later; newer ones migrate it."""


class Panel(NamedTuple):
    """One graph: pairs of a query and its legend."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    is_stacked: bool = False


def _rate(metric: str, labels: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{labels}[$__rate_interval]))"


PANELS = (
    Panel(
        "Demand, forecast and capacity",
        "reqps",
        (
            ('governor_arrival_rate_hz{upstream=~"$upstream",kind="total"}', "{{upstream}}"),
            (
                'governor_forecast_hz{upstream=~"$upstream",horizon="4s"}',
                "{{upstream}} forecast, 4 s on",
            ),
            (f"governor_proven_capacity_hz{UP}", "{{upstream}} proven capacity"),
        ),
    ),
    Panel(
        "In flight and limit",
        "short",
        (
            (f"sum by (upstream) (governor_in_flight{UP})", "{{upstream}} in flight"),
            (f"sum by (upstream) (governor_limit{UP})", "{{upstream}} limit"),
        ),
    ),
    Panel(
        "Waiting",
        "short",
        (
            (f"governor_line_length{UP}", "{{upstream}} in line"),
            (f"governor_absorbed_waiting{UP}", "{{upstream}} refusals waited out"),
        ),
    ),
    Panel(
        "What was decided",
        "reqps",
        ((_rate("governor_decisions_total", UP, "action, reason"), "{{action}}: {{reason}}"),),
        is_stacked=True,
    ),
    Panel(
        "Retries and failures",
        "percentunit",
        (
            (f"governor_retry_ratio{UP}", "{{upstream}} retries"),
            (f"governor_failure_ratio{UP}", "{{upstream}} failures"),
            (f"governor_reproduction_ratio{UP}", "{{upstream}} failures per failure"),
        ),
    ),
    Panel(
        "Waste: upstream time that nobody benefited from",
        "percentunit",
        (
            (
                _rate(
                    "governor_upstream_seconds_total",
                    '{upstream=~"$upstream",kind!="useful"}',
                    "upstream",
                )
                + " / "
                + _rate("governor_upstream_seconds_total", UP, "upstream"),
                "{{upstream}}",
            ),
        ),
    ),
    Panel(
        "Callers in step",
        "short",
        ((f"governor_synchrony_nats{UP}", "{{upstream}} {{stream}}, nats"),),
    ),
    Panel(
        "Alarms",
        "short",
        (
            (f"governor_storm_alarm{UP}", "{{upstream}} storm foreseen"),
            (f"governor_cascade{UP}", "{{upstream}} retries feed themselves"),
            (f"governor_saturated{UP}", "{{upstream}} saturated"),
            (f"max by (upstream) (governor_synchrony_alarm{UP})", "{{upstream}} in step"),
            ("governor_fanout_exploding_trees", "trees that fan out"),
        ),
    ),
    Panel(
        "Time of requests, 99 in 100",
        "s",
        (
            (
                "histogram_quantile(0.99, "
                + _rate("governor_request_duration_seconds_bucket", UP, "le, upstream")
                + ")",
                "{{upstream}}",
            ),
            (
                "histogram_quantile(0.99, "
                + _rate("governor_deferral_seconds_bucket", "", "le")
                + ")",
                "of it waiting, all upstreams",
            ),
        ),
    ),
    Panel(
        "What Governor itself costs, 99 in 100",
        "s",
        (
            (
                f"histogram_quantile(0.99, {_rate('governor_overhead_seconds_bucket', '', 'le')})",
                "added to a request",
            ),
            (
                "histogram_quantile(0.99, "
                + _rate("governor_event_loop_lag_seconds_bucket", "", "le")
                + ")",
                "loop late",
            ),
        ),
    ),
    Panel(
        "Answers, by class",
        "reqps",
        ((_rate("governor_requests_total", UP, "code_class"), "{{code_class}}"),),
        is_stacked=True,
    ),
    Panel(
        "Retry slots",
        "reqps",
        ((_rate("governor_invitations_total", UP, "state"), "{{state}}"),),
    ),
)


def make_dashboard() -> dict[str, Any]:
    """Return the dashboard as plain values."""
    return {
        "title": "Governor",
        "uid": "agent-governor",
        "tags": ["governor"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": [_source_variable(), _variable()]},
        "panels": [_panel(idx, panel) for idx, panel in enumerate(PANELS)],
    }


def grafana_json() -> str:
    """Return the dashboard as Grafana imports it."""
    return json.dumps(make_dashboard(), indent=2)


def _source() -> dict[str, str]:
    return {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}


def _source_variable() -> dict[str, Any]:
    """Return the choice among the Prometheus sources there are; the first, until one chooses."""
    return {
        "name": "DS_PROMETHEUS",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "includeAll": False,
        "multi": False,
        "current": {},
    }


def _variable() -> dict[str, Any]:
    query = "label_values(governor_line_length, upstream)"
    return {
        "name": "upstream",
        "label": "Upstream",
        "type": "query",
        "datasource": _source(),
        "definition": query,
        "query": {"query": query, "refId": "upstream"},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(idx: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(idx, PER_ROW)
    return {
        "id": idx + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _source(),
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "custom": {
                    "fillOpacity": 25 if panel.is_stacked else 0,
                    "stacking": {"mode": "normal" if panel.is_stacked else "none"},
                },
            },
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + n), "expr": query, "legendFormat": legend}
            for n, (query, legend) in enumerate(panel.queries)
        ],
    }

"""Prometheus alert rules.

*Rule of this file*: a table. An alert names something that a person can act on;
what Governor handles by itself is shown on a dashboard and wakes nobody, so a
storm pages only when it feeds itself in spite of being governed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml


class Alert(NamedTuple):
    """One rule."""

    name: str
    expression: str
    wait: str
    """How long it must hold."""
    severity: str
    summary: str
    advice: str


ALERTS = (
    Alert(
        "GovernorNotReady",
        "governor_ready == 0",
        "2m",
        "page",
        "Governor takes no traffic",
        "It is starting or draining for two minutes: look at its log and at /healthz/ready.",
    ),
    Alert(
        "GovernorFault",
        "increase(governor_faults_total[10m]) > 0",
        "0m",
        "ticket",
        "Governor survived a fault of its own in {{ $labels.part }}",
        "Calls went through ungoverned; the log has the traceback: please report it.",
    ),
    Alert(
        "GovernorOverloaded",
        "histogram_quantile(0.99, sum by (le, instance) "
        "(rate(governor_event_loop_lag_seconds_bucket[5m]))) > 0.1",
        "5m",
        "page",
        "Governor itself is late by more than 100 ms",
        "Its core is full: give it more of it, or spread callers over several.",
    ),
    Alert(
        "GovernorRetryCascade",
        "governor_cascade == 1",
        "30s",
        "page",
        "Retries at {{ $labels.upstream }} feed themselves",
        "Look at what fails there: /state names whose calls are awaited back.",
    ),
    Alert(
        "GovernorStormForeseen",
        "increase(governor_storm_alarms_total[5m]) > 0",
        "0m",
        "info",
        "A storm was foreseen at {{ $labels.upstream }}",
        "Governor spreads those who come back; the dashboard shows how it went.",
    ),
    Alert(
        "GovernorWaste",
        'sum by (upstream) (rate(governor_upstream_seconds_total{kind!="useful"}[10m])) '
        "/ sum by (upstream) (rate(governor_upstream_seconds_total[10m])) > 0.2",
        "10m",
        "ticket",
        "A fifth of the time of {{ $labels.upstream }} goes into answers that nobody uses",
        "Callers leave before they are answered, or calls fail and are repeated.",
    ),
    Alert(
        "GovernorCallersSentAway",
        'sum by (upstream) (rate(governor_decisions_total{action="answer"}[5m])) '
        '/ sum by (upstream) (rate(governor_decisions_total{action!="observed"}[5m])) > 0.05',
        "5m",
        "page",
        "More than one call in twenty is sent away from {{ $labels.upstream }}",
        "Demand lasts above what it can serve: add capacity, or fewer callers.",
    ),
    Alert(
        "GovernorUpstreamSaturated",
        "governor_saturated == 1",
        "10m",
        "ticket",
        "Calls queue at {{ $labels.upstream }}",
        "It is used to its limit; see governor_queueing_delay_seconds.",
    ),
    Alert(
        "GovernorEndpointOut",
        "governor_endpoint_share_ratio == 0",
        "2m",
        "ticket",
        "Endpoint {{ $labels.endpoint }} of {{ $labels.upstream }} is out of use",
        "It failed calls and has not come back for two minutes.",
    ),
    Alert(
        "GovernorTroubleSource",
        "governor_trouble_source == 1",
        "2m",
        "ticket",
        "{{ $labels.upstream }} is slower by itself than it was",
        "Trouble of others may come from there: look at it first.",
    ),
    Alert(
        "GovernorQuotaRunsOut",
        "governor_quota_seconds < 60 and governor_quota_left_ratio < 0.2",
        "1m",
        "ticket",
        "The quota at {{ $labels.upstream }} runs out within a minute",
        "Ask for a larger one, or lower demand.",
    ),
    Alert(
        "GovernorFanOut",
        "governor_fanout_exploding_trees > 0",
        "30s",
        "page",
        "An agent's calls make ever more calls",
        "/state names the tree under explosions.",
    ),
    Alert(
        "GovernorIdentitiesFull",
        "increase(governor_identities_overflow_total[10m]) > 0",
        "0m",
        "ticket",
        "More callers than the table {{ $labels.table }} has room for",
        "Those beyond share one entry and are governed together.",
    ),
    Alert(
        "GovernorAccessLogDropsLines",
        'increase(governor_access_log_lines_total{state="dropped"}[10m]) > 0',
        "0m",
        "ticket",
        "The access log's disk is too slow",
        "Log less (access_log.mode: touched) or to a faster disk.",
    ),
)


def make_rules() -> dict[str, Any]:
    """Return the rule file as plain values."""
    rules = [
        {
            "alert": alert.name,
            "expr": alert.expression,
            "for": alert.wait,
            "labels": {"severity": alert.severity},
            "annotations": {"summary": alert.summary, "description": alert.advice},
        }
        for alert in ALERTS
    ]
    return {"groups": [{"name": "governor", "rules": rules}]}


def alerts_yaml() -> str:
    """Return the rule file."""
    return yaml.safe_dump(make_rules(), sort_keys=False, allow_unicode=True, width=100)

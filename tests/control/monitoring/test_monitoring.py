"""Every name that the alerts and the Grafana dashboard ask for is one that a runtime serves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse

from governor.control.collector import GovernorCollector
from governor.control.metrics import METRICS
from governor.control.monitoring.alerts import ALERTS, alerts_yaml
from governor.control.monitoring.grafana import grafana_json
from tests.control.stub import StubRuntime

SELECTOR = re.compile(r"(governor_[a-z0-9_]+)(?:\{([^}]*)\})?")
SUFFIX = re.compile(r"_(bucket|sum|count)$")
GROUPING = re.compile(r"by \(([^)]*)\)")


@cache
def served() -> frozenset[str]:
    """Return the names of all samples and families of a runtime's metrics page."""
    registry = CollectorRegistry()
    runtime = StubRuntime()
    runtime.tally.for_route("tools", "all").count(200, 0, 5_000_000)
    registry.register(GovernorCollector(runtime))
    names = set()
    for family in parse(generate_latest(registry).decode()):
        names.add(family.name + "_total" * (family.type == "counter"))
        names |= {sample.name for sample in family.samples}
    return frozenset(names)


def expressions() -> Iterator[tuple[str, str]]:
    """Yield where an expression stands, and the expression."""
    for group in yaml.safe_load(alerts_yaml())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in json.loads(grafana_json())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_names_and_labels_exist(where: str, expression: str) -> None:
    """Metrics are served, labels belong to them, parentheses close."""
    found = SELECTOR.findall(expression)
    assert found, where
    labels: set[str] = {"le", "instance"}
    for name, selector in found:
        assert name in served()
        metric = METRICS.get(name) or METRICS[SUFFIX.sub("", name)]
        labels |= set(metric.labels)
        assert set(re.findall(r"(\w+)[!=]", selector)) <= set(metric.labels)
    for names in GROUPING.findall(expression):
        assert set(names.split(", ")) <= labels
    assert expression.count("(") == expression.count(")")


def test_texts_use_labels_that_their_expression_keeps() -> None:
    """A summary that names {{ $labels.x }} has an x."""
    for alert in ALERTS:
        ((name, _), *_) = SELECTOR.findall(alert.expression)
        metric = METRICS.get(name) or METRICS[SUFFIX.sub("", name)]
        kept = GROUPING.findall(alert.expression)
        labels = set(kept[0].split(", ")) if kept else set(metric.labels)
        assert set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.advice)) <= labels


def test_an_unknown_name_would_be_found() -> None:
    """The check is no rubber stamp."""
    assert "governor_line_length" in served()
    assert "governor_no_such_metric" not in served()


def test_panels_do_not_overlap_and_have_a_source() -> None:
    """Grafana shows each panel where it belongs, from the source that is chosen."""
    panels = json.loads(grafana_json())["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${DS_PROMETHEUS}"}

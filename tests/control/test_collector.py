"""The metrics page, read back by Prometheus' own parser."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from governor.control.collector import GovernorCollector
from governor.control.metrics import METRICS
from governor.proxy.stats import UNDECIDED
from policies.decision import Action
from tests.control.stub import StubRuntime


@pytest.fixture
def runtime() -> StubRuntime:
    """A runtime with something to count in every family."""
    runtime = StubRuntime()
    runtime.intervene(3)
    for status in (200, 200, 503, 499):
        runtime.tally.for_route("tools", "all").count(status, Action.ADMIT, 12_345_678)
    runtime.tally.for_route('a"b\n\\', "all").count(200, UNDECIDED, 12_345_678)
    runtime.proxy.stats.count_own_answer("line_full")
    runtime.proxy.stats.overhead.observe(12_000)
    runtime.lag.observe(0.003)
    return runtime


def scrape(runtime: StubRuntime) -> dict[str, Any]:
    """Return the families by the name in the table."""
    registry = CollectorRegistry()
    registry.register(GovernorCollector(runtime))
    families = parse(generate_latest(registry).decode())
    return {f"{f.name}_total" if f.type == "counter" else f.name: f for f in families}


def value(family: Any, **labels: str) -> float:
    """Return one sample of a family."""
    (sample,) = [s for s in family.samples if s.labels == labels]
    return float(sample.value)


def test_every_family_is_in_the_table_and_every_row_is_exported(runtime: StubRuntime) -> None:
    """The table is the whole truth: names, kinds, help."""
    families = scrape(runtime)
    assert set(families) == set(METRICS)
    for name, family in families.items():
        assert family.type == METRICS[name].kind
        assert family.documentation == METRICS[name].help
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(METRICS[name].labels)


def test_values_are_those_of_the_parts(runtime: StubRuntime) -> None:
    """Numbers pass through unchanged; nanoseconds become seconds."""
    families = scrape(runtime)
    key = {"upstream": "tools", "route": "all", "decision": "admit"}
    assert value(families["governor_requests_total"], code_class="2xx", **key) == 2
    assert value(families["governor_requests_total"], code_class="4xx", **key) == 1
    decided = families["governor_decisions_total"]
    assert value(decided, upstream="tools", action="answer", reason="line_full") == 3
    assert value(decided, upstream="tools", action="wait", reason="over_limit") == 1
    seconds = families["governor_upstream_seconds_total"]
    assert value(seconds, upstream="tools", kind="useful") == pytest.approx(0.02)
    assert value(seconds, upstream="tools", kind="orphaned") == pytest.approx(0.02)
    assert value(families["governor_waste_ratio"], upstream="tools") == pytest.approx(0.5)
    assert value(families["governor_limit"], upstream="tools", endpoint="0") == 1
    assert value(families["governor_identities"], table="flow_row") == 5
    assert value(families["governor_identities_overflow_total"], table="flow_row") == 0
    assert value(families["governor_ready"]) == 1
    overhead = {s.labels.get("le"): s.value for s in families["governor_overhead_seconds"].samples}
    assert (overhead["1e-05"], overhead["2e-05"], overhead["+Inf"]) == (0, 1, 1)


def test_label_values_are_escaped(runtime: StubRuntime) -> None:
    """A name with quotes, newlines and backslashes comes back whole."""
    labels = [s.labels for s in scrape(runtime)["governor_requests_total"].samples]
    assert any(x["upstream"] == 'a"b\n\\' and x["decision"] == "none" for x in labels)


def test_openmetrics_parses_too(runtime: StubRuntime) -> None:
    """The stricter exposition that Prometheus asks for is valid as well."""
    registry = CollectorRegistry()
    registry.register(GovernorCollector(runtime))
    families = list(parse_openmetrics(generate_openmetrics(registry).decode()))
    assert len(families) == len(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_names_follow_the_rules(name: str) -> None:
    """Prometheus' naming page: prefix, snake case, total on counters only, base units."""
    metric = METRICS[name]
    assert re.fullmatch(r"governor(_[a-z0-9]+)+", name)
    assert name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(ms|us|ns|milliseconds|minutes|kb|count|sum|bucket)(_|$)", name)
    assert metric.kind != "histogram" or name.endswith("_seconds")
    assert metric.help.endswith(".")
    assert all(re.fullmatch(r"[a-z][a-z_]*", label) for label in metric.labels)
    assert "le" not in metric.labels


def test_scraping_before_any_traffic_is_valid() -> None:
    """A fresh process exports zeros, not errors."""
    assert value(scrape(StubRuntime())["governor_waste_ratio"], upstream="tools") == 0.0

"""Points: the same numbers as on ``/metrics``, as OTLP has them."""

from __future__ import annotations

from opentelemetry.sdk.metrics.export import Gauge, Histogram, MetricsData, Sum
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import Metric as Family

from governor.control.collector import GovernorCollector, make_histogram
from governor.control.metrics import METRICS
from governor.control.telemetry.points import make_metrics
from governor.proxy.histogram import Histogram as Counts
from tests.control.stub import StubRuntime


def convert(families: list[Family]) -> MetricsData:
    """Return an export of families read at 2, counted since 1."""
    return make_metrics(families, 1, 2, Resource({}), InstrumentationScope("governor"))


def test_every_family_with_a_row_is_sent_once_as_its_kind() -> None:
    """Counters are monotonic sums, gauges gauges, histograms histograms; names stay."""
    runtime = StubRuntime()
    runtime.intervene(3)
    families = list(GovernorCollector(runtime).collect())
    sent = {m.name: m for m in convert(families).resource_metrics[0].scope_metrics[0].metrics}
    kinds = {"counter": Sum, "gauge": Gauge, "histogram": Histogram}
    with_rows = [family for family in families if family.samples]
    assert len(sent) == len(with_rows) > 40
    for family in with_rows:
        name = family.name + "_total" * (family.type == "counter")
        assert isinstance(sent[family.name].data, kinds[METRICS[name].kind])
    answered = sent["governor_decisions"].data.data_points
    told = {(p.attributes["action"], p.attributes["reason"]): p.value for p in answered}
    assert told["answer", "line_full"] == 3.0


def test_buckets_no_longer_add_up() -> None:
    """Each of OTLP's buckets counts its own samples; bounds and sums are per set of labels."""
    first, second = Counts((10_000_000, 20_000_000)), Counts((10_000_000, 20_000_000))
    for sample_ms in (5, 15, 15, 99):
        first.observe(sample_ms * 1_000_000)
    second.observe(1_000_000)
    rows = [(("tools", "a"), first), (("tools", "b"), second)]
    data = convert([make_histogram("governor_request_duration_seconds", rows)])
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    a, b = metric.data.data_points
    assert metric.unit == "s"
    assert (a.attributes, a.bucket_counts, a.explicit_bounds) == (
        {"upstream": "tools", "route": "a"},
        [1, 2, 1],
        [0.01, 0.02],
    )
    assert (a.count, round(a.sum, 3), b.count, b.bucket_counts) == (4, 0.134, 1, [1, 0, 0])

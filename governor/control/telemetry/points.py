"""From the families of ``/metrics`` to OpenTelemetry's data points.

*Rule of this file*: one table of metrics. Names, help and labels are those of
:mod:`governor.control.metrics`; nothing is counted twice, nothing is measured
here. As OTLP has it, a counter's name is without ``_total``: a collector that
serves Prometheus puts it back.

*Considered and rejected*: the SDK's observable instruments. They have no
histogram, and each calls back by itself from another thread, so that one
export would be of many instants.

*Regime*: families are collected on the loop, as for a scrape; this runs in the
thread that ships metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import Metric as Family

_UNITS = {"seconds": "s", "bytes": "By", "hz": "Hz", "ratio": "1", "nats": "nat"}


def unit_of(name: str) -> str:
    """Return a unit by the last word of a name.

    Examples
    --------
    >>> unit_of("governor_deferral_seconds"), unit_of("governor_requests")
    ('s', '')
    """
    return _UNITS.get(name.rpartition("_")[2], "")


def make_metrics(
    families: Iterable[Family],
    started_unix_ns: int,
    unix_ns: int,
    resource: Resource,
    scope: InstrumentationScope,
) -> MetricsData:
    """Return all families as one export; those without a row are left out.

    Parameters
    ----------
    started_unix_ns, unix_ns : int
        Since when counters count, and when they were read.
    """
    metrics = [
        Metric(family.name, family.documentation, unit_of(family.name), data)
        for family in families
        if (data := _make_data(family, started_unix_ns, unix_ns)).data_points
    ]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(scope, metrics, "")], "")])


def _make_data(family: Family, started_unix_ns: int, unix_ns: int) -> Sum | Gauge | Histogram:
    cumulative = AggregationTemporality.CUMULATIVE
    if family.type == "histogram":
        points = list(_histogram_points(family, started_unix_ns, unix_ns))
        return Histogram(points, cumulative)
    is_sum = family.type == "counter"
    since_ns = started_unix_ns if is_sum else 0
    numbers = [
        NumberDataPoint(sample.labels, since_ns, unix_ns, float(sample.value))
        for sample in family.samples  # floats throughout: a series never changes its type
    ]
    return Sum(numbers, cumulative, is_monotonic=True) if is_sum else Gauge(numbers)


def _histogram_points(
    family: Family, started_unix_ns: int, unix_ns: int
) -> Iterator[HistogramDataPoint]:
    """Yield a point for each set of labels: Prometheus' buckets add up, OTLP's do not."""
    below = 0
    bounds: list[float] = []
    counts: list[int] = []
    for sample in family.samples:
        if sample.name.endswith("_bucket"):
            bound = float(sample.labels["le"])
            counts.append(int(sample.value) - below)
            below = int(sample.value)
            if bound != float("inf"):
                bounds.append(bound)
        elif sample.name.endswith("_sum"):
            labels = {k: v for k, v in sample.labels.items() if k != "le"}
            none = float("nan")  # least and greatest are not kept
            yield HistogramDataPoint(
                labels, started_unix_ns, unix_ns, below, sample.value, counts, bounds, none, none
            )
            below, bounds, counts = 0, [], []

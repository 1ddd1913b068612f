"""One row of the table of metrics."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Metric(NamedTuple):
    """A family as Prometheus knows it."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()

"""Questions to Governor's control plane: what it says of itself after a run."""

from __future__ import annotations

import urllib.request
from typing import Any

import orjson

from bench.children import HOST
from bench.peers import Running


def get(running: Running, path: str) -> bytes:
    """Return the page at ``path`` of a peer's control plane."""
    url = f"http://{HOST}:{running.admin_port}{path}"
    with urllib.request.urlopen(url, timeout=5) as reply:
        body: bytes = reply.read()
        return body


def read_json(running: Running, path: str) -> Any:
    """Return a JSON page."""
    return orjson.loads(get(running, path))


def read_metrics(running: Running) -> dict[str, float]:
    """Return Governor's own counters and gauges by name and labels, without histograms' buckets."""
    return parse_metrics(get(running, "/metrics").decode())


def parse_metrics(text: str) -> dict[str, float]:
    r"""Return the ``governor_`` samples of a page in Prometheus' text format.

    >>> parse_metrics("# HELP x y\ngovernor_a{b=\"c\"} 2.0\nprocess_x 1.0\n")
    {'governor_a{b="c"}': 2.0}
    """
    values: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("governor_") and "_bucket{" not in name and "_created" not in name:
            values[name] = float(value)
    return values

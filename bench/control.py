"""Questions to Governor's control plane and to the service: what they say of themselves."""

from __future__ import annotations

import asyncio
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


async def call_json(port: int, path: str) -> Any:
    """Return the JSON behind ``path`` on a loopback port (control questions, not load)."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=1 << 26)
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        return orjson.loads(await reader.readexactly(length))
    finally:
        writer.close()


def ask(port: int, question: str) -> Any:
    """Return the JSON behind a question to a service of the benchmark's."""
    with urllib.request.urlopen(f"http://{HOST}:{port}{question}", timeout=5) as reply:
        return orjson.loads(reply.read())

"""The load generator wrk: one thread, results as numbers.

wrk keeps every response time in a histogram of 1 µs and sends the next request
on a connection when the reply of the last is there (closed loop). At one
connection it is the sequential client of the latency tables.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bench.children import BenchError, Child
from bench.peers.base import first_line, which

SCRIPT = Path(__file__).with_name("wrk.lua")
INSTALL = "wrk is needed: apt-get install wrk"


@dataclass(frozen=True)
class Load:
    """What one run of wrk saw."""

    requests_hz: float
    bytes_hz: float
    p50_us: float
    p99_us: float
    mean_us: float
    n_errors: int


def version() -> str:
    """As wrk prints it."""
    return " ".join(first_line([which("wrk"), "--version"]).split()[:2])


def parse(text: str) -> Load:
    """Return the load described by the JSON line in wrk's output."""
    lines = [line for line in text.splitlines() if line.startswith("{")]
    if not lines:
        raise BenchError(f"wrk printed no result:\n{text[-800:]}")
    seen = json.loads(lines[-1])
    duration_s = max(seen["duration_us"], 1) / 1e6
    return Load(
        requests_hz=seen["requests"] / duration_s,
        bytes_hz=seen["bytes"] / duration_s,
        p50_us=seen["p50_us"],
        p99_us=seen["p99_us"],
        mean_us=seen["mean_us"],
        n_errors=sum(seen[kind] for kind in ("connect", "read", "write", "status", "timeout")),
    )


def run(
    url: str,
    connections: int,
    duration_s: float,
    core: int | None,
    upload_bytes: int = 0,
    headers: tuple[str, ...] = (),
    varies: bool = False,
) -> Load:
    """Drive ``url`` for ``duration_s`` over ``connections`` kept-alive connections.

    With ``varies`` every request differs from the one before it, as an SDK's do.
    """
    if not which("wrk"):
        raise BenchError(INSTALL)
    command = [which("wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(duration_s))}s"]
    for header in headers:
        command += ["-H", header]
    command += ["-s", str(SCRIPT), url]
    environment = {"UPLOAD_BYTES": str(upload_bytes), "VARIES": "1" if varies else ""}
    child = Child("wrk", command, core, env=environment)
    return parse(child.read_rest(timeout_s=duration_s + 15.0))

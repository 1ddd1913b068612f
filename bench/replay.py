"""``python -m bench replay FILE``: a recorded fleet through the proxy.

Every row is sent at its recorded time, divided by ``--speed``, with the headers
of the agent that made it, to a service that answers after the recorded latency,
divided likewise: as many calls are in flight as in the recording. Each call is
also sent to the service directly, at the same moment; the difference is what
the proxy adds. On organic traffic Governor must not intervene once.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from bench.children import HOST, BenchError
from bench.control import read_json, read_metrics
from bench.peers import Running, select
from bench.replay_rows import Row, read_rows
from bench.report import save, table
from bench.service import server
from bench.service.spec import ServiceSpec
from governor.load.http1 import CallerConnection
from governor.load.wire import claude_code_request

PROXY_CORE, LOAD_CORE = 0, 1
IDLE_MAX_S = 20.0
"""Connections idle longer are replaced, well before any proxy closes them."""
REPLY_MAX_S = 60.0
MAX_RATE_HZ = 600.0
"""Beyond this the driver, not the proxy, would be measured."""
PROGRESS_S = 10.0


class Way:
    """One way to the service: its port, its idle connections, what its calls gave."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: dict[str, list[CallerConnection]] = defaultdict(list)
        self.statuses: Counter[int] = Counter()
        self.took_s: dict[int, float] = {}

    async def call(self, number: int, row: Row, demand_s: float) -> None:
        """Send one call and note its status and time."""
        key = row.agent or row.session
        began_s = time.monotonic()
        status = 0
        try:
            connection = await self._connection(key)
            began_s = time.monotonic()
            reply: asyncio.Future[int] = asyncio.get_running_loop().create_future()

            def on_reply(status: int, _headers: dict[str, str]) -> None:
                if not reply.done():
                    reply.set_result(status)

            request = claude_code_request(self.port, row.session, row.agent, demand_s)
            connection.send(request, on_reply)
            status = await asyncio.wait_for(reply, REPLY_MAX_S)
            connection.idle_since_s = time.monotonic()
            self.idle[key].append(connection)
        except (OSError, TimeoutError):
            pass
        self.statuses[status] += 1
        self.took_s[number] = time.monotonic() - began_s

    def close(self) -> None:
        """Close all idle connections."""
        for connections in self.idle.values():
            for connection in connections:
                connection.leave()
        self.idle.clear()

    async def _connection(self, key: str) -> CallerConnection:
        idle = self.idle[key]
        while idle:
            connection = idle.pop()
            if connection.is_usable:
                if time.monotonic() - connection.idle_since_s <= IDLE_MAX_S:
                    return connection
                connection.leave()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(CallerConnection, HOST, self.port)
        return connection


async def drive(
    rows: list[Row], speed: float, ways: list[Way], report: Callable[[int, float], None]
) -> float:
    """Send all rows by all ways at their times; return how late the worst was sent, s."""
    began_s = time.monotonic() - rows[0].t_s / speed
    worst_s = 0.0
    async with asyncio.TaskGroup() as group:
        for number, row in enumerate(rows):
            due_s = began_s + row.t_s / speed
            wait_s = due_s - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            worst_s = max(worst_s, time.monotonic() - due_s)
            for way in ways:
                group.create_task(way.call(number, row, row.latency_s / speed))
            report(number + 1, row.t_s)
    for way in ways:
        way.close()
    return worst_s


def reporter(
    rows: list[Row], speed: float
) -> tuple[Callable[[int, float], None], Callable[[], None]]:
    """Return a progress function and its end: a bar on a terminal, else a line now and then."""
    if sys.stdout.isatty():
        from rich.progress import Progress

        bar = Progress()
        bar.start()
        task = bar.add_task("replay", total=len(rows))
        return (lambda n, _t: bar.update(task, completed=n)), bar.stop
    shown_s = time.monotonic()

    def line(number: int, t_s: float) -> None:
        nonlocal shown_s
        if time.monotonic() - shown_s >= PROGRESS_S:
            shown_s = time.monotonic()
            print(
                f"  {number:,} of {len(rows):,} calls, {t_s / 3600:.2f} h of the recording",
                flush=True,
            )

    return line, lambda: None


def interventions(running: Running) -> dict[str, Any]:
    """Return what Governor says it did: recent decisions, and its counters."""
    decisions = read_json(running, "/decisions?last=100")
    state = read_json(running, "/state")
    return {"decisions": decisions, "state": state, "metrics": read_metrics(running)}


def arguments(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="bench replay", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--rows", type=int, default=0, help="0: all")
    parser.add_argument("--time-column", default="t_s")
    parser.add_argument("--peer", default="governor")
    return parser.parse_args(argv)


def added_ms(through: Way, direct: Way) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the paired differences of response times, milliseconds."""
    pairs = [through.took_s[n] - direct.took_s[n] for n in through.took_s if n in direct.took_s]
    return np.array(pairs or [0.0]) * 1e3


def main(argv: list[str]) -> int:
    """Run the replay."""
    options = arguments(argv)
    rows = read_rows(options.file, options.time_column, options.rows)
    if not rows:
        raise BenchError(f"{options.file} has no rows")
    span_s = (rows[-1].t_s - rows[0].t_s) / options.speed
    if span_s and len(rows) / span_s > MAX_RATE_HZ:
        raise BenchError(
            f"{len(rows) / span_s:.0f} calls/s: choose a lower --speed "
            f"(at most {MAX_RATE_HZ:.0f}/s)"
        )
    peer = select(options.peer)[0]
    busy = sum(row.latency_s for row in rows) / max(rows[-1].t_s - rows[0].t_s, 1e-9)
    print(
        f"replay: {len(rows):,} calls of {options.file.name} at {options.speed:g} × through "
        f"{peer.name}: {span_s / 60:.1f} min, {len(rows) / max(span_s, 1e-9):.0f} calls/s, "
        f"{busy:.0f} in flight in the mean",
        flush=True,
    )
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > LOAD_CORE:
        os.sched_setaffinity(0, {LOAD_CORE})
    service, port = server.start(LOAD_CORE, ServiceSpec(n_slots=0), 1)
    with peer.start(port, PROXY_CORE) as running:
        through, direct = Way(running.port), Way(port)
        report, finish = reporter(rows, options.speed)
        gc.freeze()
        try:
            late_s = uvloop.run(drive(rows, options.speed, [through, direct], report))
        finally:
            finish()
        said = interventions(running) if running.admin_port and "governor" in peer.name else {}
        cpu_s = running.cpu_s()
    service.stop()
    return conclude(argv, rows, through, direct, said, late_s, cpu_s)


def conclude(
    argv: list[str],
    rows: list[Row],
    through: Way,
    direct: Way,
    said: dict[str, Any],
    late_s: float,
    cpu_s: float,
) -> int:
    """Print and save what happened; return 1 if Governor intervened or a call failed."""
    added = added_ms(through, direct)
    n_interventions = count_interventions(said)
    n_failed = len(rows) - through.statuses[200]
    cells: list[list[object]] = [
        ["calls", f"{len(rows):,}"],
        ["interventions by Governor", n_interventions],
        [
            "calls without 200, governed / direct",
            f"{n_failed} / {len(rows) - direct.statuses[200]}",
        ],
        [
            "added latency p50 / p99 ms (paired)",
            " / ".join(f"{np.percentile(added, q):.2f}" for q in (50, 99)),
        ],
        ["worst lateness of the driver ms", f"{late_s * 1e3:.1f}"],
        ["processor seconds of the proxy", f"{cpu_s:.1f}"],
    ]
    data = {
        "statuses": {str(k): n for k, n in through.statuses.items()},
        "interventions": n_interventions,
        "added_ms": {str(q): float(np.percentile(added, q)) for q in (1, 10, 50, 90, 99)},
        "said": said,
    }
    save("replay", " ".join(["replay", *argv]), table(["", ""], cells), data)
    return 1 if n_failed or n_interventions else 0


def count_interventions(said: dict[str, Any]) -> int:
    """Return how many requests Governor did not just pass on, from what it says of itself.

    The larger of its two accounts: the log of interventions, and the counter of
    decisions other than to admit at once.
    """
    if not said:
        return 0
    counted = sum(
        value
        for name, value in said["metrics"].items()
        if name.startswith("governor_decisions_total{")
        and not any(reason in name for reason in ('"untouched"', '"exempt"'))
    )
    return max(int(counted), int(said["decisions"]["total"]))

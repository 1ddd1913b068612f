"""``python -m bench telemetry``: what OpenTelemetry costs, in one interleaved run.

The same Governor without the variables, sampling one request in a hundred, sampling all,
and sampling all for a collector that nobody runs. The proxy has core 0; load generator,
upstream and a collector that only reads share core 1. Rounds go over the four in turn, as
in ``bench proxy``; the table gives medians. Processor time is of all
the proxy's threads; unlike the rates it hardly depends on what else the machine does. The last
columns say what became of the spans.
"""

from __future__ import annotations

import argparse
import http.client
import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from bench import wrk
from bench.children import HOST, Child, free_port, start_python
from bench.origin import start_nginx_origin
from bench.peers.governor import PROGRAM
from bench.proxy import AGENT_HEADERS, LOAD_CORE, PROXY_CORE
from bench.report import save, table

CONNECTIONS = 64
_COUNT = re.compile(r'governor_telemetry_records_total\{signal="spans",state="(\w+)"\} ([0-9.e+]+)')


def variables(share: str, port: int) -> dict[str, str]:
    """Return the environment that samples a share of the requests."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{port}",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": share,
    }


class Governed:
    """One Governor of the comparison."""

    def __init__(self, name: str, env: dict[str, str], origin_port: int) -> None:
        self.name = name
        self.port, self.admin_port = free_port(), free_port()
        command = [*PROGRAM, "run", "--upstream", f"http://{HOST}:{origin_port}"]
        command += ["--listen", f"{HOST}:{self.port}", "--admin", f"{HOST}:{self.admin_port}"]
        folder = Path(tempfile.mkdtemp(prefix="bench-telemetry-"))
        self.child = Child(name, command, PROXY_CORE, folder / "log", env, folder)
        self.child.wait_port(self.port, 300.0)
        self.child.pause()

    def measure(self, duration_s: float) -> tuple[wrk.Load, float]:
        """Return the load, and the processor time per request in microseconds."""
        self.child.resume()
        url = f"http://{HOST}:{self.port}/tool"
        wrk.run(url, CONNECTIONS, 1.0, LOAD_CORE, headers=AGENT_HEADERS)
        before_s = self.child.usage().cpu_s
        load = wrk.run(url, CONNECTIONS, duration_s, LOAD_CORE, headers=AGENT_HEADERS)
        used_s = self.child.usage().cpu_s - before_s
        self.child.pause()
        return load, used_s * 1e6 / max(1.0, load.requests_hz * duration_s)

    def records(self) -> dict[str, float]:
        """Return what became of the spans so far, from its own metrics."""
        self.child.resume()
        connection = http.client.HTTPConnection(HOST, self.admin_port, timeout=30.0)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return {state: float(n) for state, n in _COUNT.findall(text)}


def collect() -> None:
    """Run a collector that reads what it is sent and answers 200, until it is stopped."""
    import asyncio

    import uvloop
    from aiohttp import web

    async def main() -> None:
        async def take(request: web.Request) -> web.Response:
            await request.read()
            return web.Response()

        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/{path:.*}", take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    uvloop.run(main())


def row(one: Governed, samples: list[tuple[wrk.Load, float]], base_hz: float) -> list[str]:
    """Return one line of the table."""
    loads = [load for load, _ in samples]
    rates = [load.requests_hz for load in loads]
    records = one.records()
    return [
        one.name.replace("-", " "),
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f} to {max(rates):,.0f}",
        f"{median(rates) / base_hz - 1.0:+.1%}",
        f"{median(load.p50_us for load in loads) / 1e3:.2f}",
        f"{median(load.p99_us for load in loads) / 1e3:.2f}",
        f"{median(cpu_us for _, cpu_us in samples):.0f}",
        *(f"{records.get(state, 0.0):,.0f}" for state in ("shipped", "dropped", "failed")),
        f"{sum(load.n_errors for load in loads)}",
    ]


def main(argv: list[str]) -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(prog="bench telemetry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args(argv)
    origin, origin_port = start_nginx_origin(LOAD_CORE)
    collector = start_python("collector", "bench.telemetry", [], LOAD_CORE)
    collector_port = int(collector.read_line())
    asked = {
        "off": {},
        "1 in 100": variables("0.01", collector_port),
        "all": variables("1.0", collector_port),
        "all, no collector": variables("1.0", free_port()),
    }
    governed = []
    samples: dict[str, list[tuple[wrk.Load, float]]] = defaultdict(list)
    try:
        for name, env in asked.items():
            governed.append(Governed(name.replace(" ", "-"), env, origin_port))
        for number in range(options.rounds):
            for one in governed:
                samples[one.name].append(one.measure(options.seconds))
                load = samples[one.name][-1][0]
                print(
                    f"{number + 1}/{options.rounds} {one.name}: {load.requests_hz:.0f}/s",
                    flush=True,
                )
        base_hz = median(load.requests_hz for load, _ in samples["off"])
        rows = [row(one, samples[one.name], base_hz) for one in governed]
    finally:
        for one in governed:
            one.child.stop()
        collector.stop()
        origin.stop()
    head = [
        "OpenTelemetry",
        "requests/s",
        "range",
        "against off",
        "p50 ms",
        "p99 ms",
        "processor µs a request",
    ]
    text = table([*head, "spans shipped", "dropped", "failed", "errors"], rows)
    save("telemetry", " ".join(["telemetry", *argv]), text, {"rows": rows})
    return 0


if __name__ == "__main__":
    collect() if len(sys.argv) == 1 else main(sys.argv[1:])

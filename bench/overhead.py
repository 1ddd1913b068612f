"""``python -m bench overhead``: what recorder and dashboard cost, in one interleaved run.

The same Governor four times: with neither, with the recorder (in memory, as ``mode: storm``
keeps it), with one dashboard open, with both; a fifth writes continuously. Each is started
once and frozen while another is measured; the order turns by one each round, so that a slow
moment falls on all. The proxy has core 0; load generator, upstream and the page's reader
share core 1.

*Theory*: rates on a shared machine swing by more than what is to be found. So each round
gives a ratio to *neither* of the same round, and the median and quartiles of the ratios are
told; beside it the processor time a request took, which a neighbour hardly moves.
"""

from __future__ import annotations

import argparse
import http.client
import socket
import tempfile
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import wrk
from bench.children import HOST, BenchError, Child, free_port
from bench.origin import start_nginx_origin
from bench.peers.governor import PROGRAM
from bench.proxy import AGENT_HEADERS, LOAD_CORE, PROXY_CORE
from bench.report import save, table

CONNECTIONS = 64
BOUND_RATIO = 0.97
"""At most 3 % fewer requests a second."""
NEITHER = "neither"


@dataclass(frozen=True)
class Variant:
    """One way to run."""

    name: str
    recorder: str = "off"
    has_page: bool = False


VARIANTS = (
    Variant(NEITHER),
    Variant("recorder", "storm"),
    Variant("dashboard open", has_page=True),
    Variant("recorder, dashboard open", "storm", has_page=True),
    Variant("recorder writing continuously", "continuous"),
)


@dataclass(frozen=True)
class Sample:
    """One measurement."""

    requests_hz: float
    p99_us: float
    cpu_us: float
    """Of the proxy's threads, a request."""
    n_errors: int


class Page:
    """Reads the dashboard's stream as an open page does, and throws it away."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=300.0)
        self._connection.request("GET", "/stream")
        self._answer = self._connection.getresponse()
        if self._answer.status != http.client.OK:
            raise BenchError(f"the dashboard's stream answers {self._answer.status}")
        self.n_bytes = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while data := self._answer.read1(65_536):
                self.n_bytes += len(data)
        except (OSError, ValueError, http.client.HTTPException):
            pass

    def close(self) -> None:
        """Close the page."""
        if self._connection.sock is not None:
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5.0)


class Governed:
    """One Governor of the comparison."""

    def __init__(self, variant: Variant, origin_port: int) -> None:
        self.variant = variant
        self.port, admin_port = free_port(), free_port()
        folder = Path(tempfile.mkdtemp(prefix="bench-overhead-"))
        config = folder / "governor.yaml"
        config.write_text(
            f"listeners: [{{address: '{HOST}:{self.port}'}}]\n"
            f"admin: {{address: '{HOST}:{admin_port}'}}\n"
            f"upstreams: {{tools: {{endpoints: ['http://{HOST}:{origin_port}']}}}}\n"
            f"recorder: {{mode: {variant.recorder}, file: '{folder}/a.rec'}}\n"
        )
        command = [*PROGRAM, "run", "--config", str(config)]
        self.child = Child(variant.name, command, PROXY_CORE, folder / "log", folder=folder)
        self.child.wait_port(self.port, 300.0)
        self.child.wait_port(admin_port, 30.0)
        self.page = Page(admin_port) if variant.has_page else None
        self._load(1.0)
        self.child.pause()

    def measure(self, duration_s: float) -> Sample:
        """Drive it for so long."""
        self.child.resume()
        before_s = cpu_s(self.child.pid)
        load = self._load(duration_s)
        used_s = cpu_s(self.child.pid) - before_s
        self.child.pause()
        n_requests = max(1.0, load.requests_hz * duration_s)
        return Sample(load.requests_hz, load.p99_us, used_s * 1e6 / n_requests, load.n_errors)

    def _load(self, duration_s: float) -> wrk.Load:
        url = f"http://{HOST}:{self.port}/tool"
        return wrk.run(url, CONNECTIONS, duration_s, LOAD_CORE, headers=AGENT_HEADERS, varies=True)

    def stop(self) -> None:
        """Stop it."""
        self.child.resume()
        if self.page is not None:
            self.page.close()
        self.child.stop()


def cpu_s(pid: int) -> float:
    """Return the processor seconds of all threads of a process, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def run(options: argparse.Namespace) -> tuple[dict[str, list[Sample]], dict[str, int]]:
    """Measure all variants, round after round; return samples and bytes that pages read."""
    origin, origin_port = start_nginx_origin(LOAD_CORE)
    governed: list[Governed] = []
    samples: dict[str, list[Sample]] = defaultdict(list)
    try:
        for variant in VARIANTS:
            governed.append(Governed(variant, origin_port))
        for number in range(options.rounds):
            turn = number % len(governed)
            for one in governed[turn:] + governed[:turn]:
                samples[one.variant.name].append(one.measure(options.seconds))
            told = (f"{samples[x.name][-1].requests_hz:,.0f}" for x in VARIANTS)
            print(f"  round {number + 1}/{options.rounds}: {' '.join(told)}", flush=True)
        read = {x.variant.name: x.page.n_bytes for x in governed if x.page is not None}
    finally:
        for one in governed:
            one.stop()
        origin.stop()
    return samples, read


def row(name: str, samples: dict[str, list[Sample]]) -> tuple[list[str], float]:
    """Return one line of the table, and the median ratio of rates."""
    seen, base = samples[name], samples[NEITHER]
    rates = np.array([x.requests_hz for x in seen])
    ratios = rates / np.array([x.requests_hz for x in base])
    cpus = np.array([x.cpu_us for x in seen])
    cpu_ratios = cpus / np.array([x.cpu_us for x in base])
    low, middle, high = np.percentile(ratios, (25, 50, 75))
    cpu_low, cpu_middle, cpu_high = np.percentile(cpu_ratios, (25, 50, 75))
    cells = [
        name,
        f"{np.median(rates):,.0f}",
        f"{middle:.3f} ({low:.3f} – {high:.3f})",
        f"{np.median(cpus):.1f}",
        f"{cpu_middle:.3f} ({cpu_low:.3f} – {cpu_high:.3f})",
        f"{np.median([x.p99_us for x in seen]) / 1e3:.2f}",
        f"{sum(x.n_errors for x in seen)}",
    ]
    return cells, float(middle)


def main(argv: list[str]) -> int:
    """Run the comparison; status 1 if recorder and dashboard cost more than the bound."""
    parser = argparse.ArgumentParser(prog="bench overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=2.0, help="whole seconds")
    options = parser.parse_args(argv)
    samples, read = run(options)
    rows = [row(variant.name, samples) for variant in VARIANTS]
    head = ["", "requests/s", "ratio to neither, of the same round (quartiles)"]
    head += ["processor µs a request", "ratio to neither (quartiles)", "p99 ms", "errors"]
    text = (
        f"Medians of {options.rounds} rounds of {options.seconds:.0f} s, 64 connections, POST "
        f"with the 18 headers of an SDK, no two alike. Bound: {BOUND_RATIO:.2f} of the requests/s "
        f"with both. Open pages read {' and '.join(f'{x / 1e3:.0f} KB' for x in read.values())}."
    )
    data = {
        "options": vars(options),
        "samples": {name: [vars(x) for x in seen] for name, seen in samples.items()},
    }
    markdown = f"{text}\n\n{table(head, [cells for cells, _ in rows])}"
    save("overhead", " ".join(["overhead", *argv]), markdown, data)
    with_both = next(ratio for cells, ratio in rows if cells[0] == VARIANTS[3].name)
    return 0 if with_both >= BOUND_RATIO else 1

"""``python -m bench proxy``: what each proxy costs, in one interleaved run.

The proxy has core 0 for itself; load generator and upstream share core 1. All
peers are started once and frozen while another is measured. Rounds go over the
peers in turn, so that a slow moment of the machine falls on all; the tables
give medians over rounds. The proxy's share of its core tells whether it, or the
load generator, was the limit.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from bench import wrk
from bench.children import BenchError, Child, start_python
from bench.origin import EVENT_RATE_HZ, start_nginx_origin, start_uvloop_origin
from bench.peers import Peer, Running, select
from bench.peers.base import which
from bench.report import save, table

PROXY_CORE = 0
LOAD_CORE = 1
UPLOAD_BYTES = 1 << 20
AGENT_HEADERS = (
    "authorization: Bearer bench-key",
    "x-claude-code-session-id: 5f0c2f3e-bench",
    "x-stainless-retry-count: 0",
)
"""What an agent's SDK sends, so that a governed request is identified like a real one."""
DEFAULT_PEERS = "direct,nginx,haproxy,envoy,aiohttp,governor"


@dataclass(frozen=True)
class Case:
    """One load: where it goes and how."""

    name: str
    path: str
    connections: int
    upload_bytes: int = 0
    uses_uvloop_origin: bool = False
    varies: bool = False


CASES = (
    Case("small", "/tool", 64),
    Case("sdk", "/tool", 64, varies=True),
    Case("large", "/large", 64),
    Case("latency", "/tool", 1),
    Case("upload", "/upload", 16, UPLOAD_BYTES, uses_uvloop_origin=True),
)
SSE = "sse"

Sample = dict[str, float]
Samples = dict[tuple[str, str], list[Sample]]


class Bench:
    """The origins, and each peer in front of both."""

    def __init__(self, peers: Sequence[Peer]) -> None:
        self.origins: list[Child] = []
        uvloop_origin, uvloop_port = start_uvloop_origin(LOAD_CORE)
        self.origins.append(uvloop_origin)
        fast_port = uvloop_port
        if which("nginx"):
            nginx_origin, fast_port = start_nginx_origin(LOAD_CORE)
            self.origins.append(nginx_origin)
        else:
            print("- nginx is missing: the slower uvloop origin serves the small replies too")
        self.running: dict[tuple[str, bool], Running] = {}
        self.peers: list[Peer] = []
        for peer in peers:
            try:
                for is_uvloop, port in ((False, fast_port), (True, uvloop_port)):
                    running = peer.start(port, PROXY_CORE)
                    self.running[peer.name, is_uvloop] = running
                    running.pause()
            except BenchError as error:
                print(f"- {peer.name} is left out: {error}", flush=True)
            else:
                self.peers.append(peer)

    def measure(self, peer: str, case: Case, duration_s: float) -> Sample:
        """Drive one case through one peer."""
        running = self.running[peer, case.uses_uvloop_origin]
        running.resume()
        url = running.url + case.path
        load_for = partial(
            wrk.run,
            url,
            case.connections,
            core=LOAD_CORE,
            upload_bytes=case.upload_bytes,
            headers=AGENT_HEADERS,
            varies=case.varies,
        )
        load_for(1.0)
        before_s, began_s = running.cpu_s(), time.monotonic()
        load = load_for(duration_s)
        share = (running.cpu_s() - before_s) / (time.monotonic() - began_s)
        running.pause()
        return {**vars(load), "cpu_share": share}

    def measure_streams(self, peer: str, n_streams: int, duration_s: float) -> Sample:
        """Hold many event streams open through one peer."""
        running = self.running[peer, True]
        running.resume()
        arguments = [str(running.port), str(n_streams), str(duration_s)]
        sink = start_python("sse sink", "bench.sse_sink", arguments, LOAD_CORE)
        sink.read_line()
        before_s, began_s = running.cpu_s(), time.monotonic()
        seen: Sample = json.loads(sink.read_rest(duration_s + 20.0))
        seen["cpu_share"] = (running.cpu_s() - before_s) / (time.monotonic() - began_s)
        running.pause()
        return seen

    def stop(self) -> None:
        """Stop everything."""
        for running in self.running.values():
            running.stop()
        for origin in self.origins:
            origin.stop()


def run(peers: Sequence[Peer], options: argparse.Namespace) -> tuple[Samples, Sequence[Peer]]:
    """Measure every case through every peer that starts, round after round."""
    samples: Samples = defaultdict(list)
    wanted = options.cases.split(",")
    bench = Bench(peers)
    peers = bench.peers
    try:
        for round_number in range(1, options.rounds + 1):
            for case in (case for case in CASES if case.name in wanted):
                for peer in peers:
                    sample = bench.measure(peer.name, case, options.seconds)
                    samples[case.name, peer.name].append(sample)
                    print(
                        progress(round_number, options.rounds, case.name, peer.name, sample),
                        flush=True,
                    )
            if SSE in wanted and round_number <= options.sse_rounds:
                for peer in peers:
                    sample = bench.measure_streams(peer.name, options.streams, options.sse_seconds)
                    samples[SSE, peer.name].append(sample)
                    stalls, delay_us = sample["stalls"], sample["delay_p99_us"]
                    print(
                        f"  round {round_number} {SSE:8} {peer.name:10} {stalls:.0f} stalls, "
                        f"delay p99 {delay_us:.0f} us, proxy {sample['cpu_share']:.0%}",
                        flush=True,
                    )
    finally:
        bench.stop()
    return samples, peers


def progress(number: int, of: int, case: str, peer: str, sample: Sample) -> str:
    """Return one line on one measurement."""
    return (
        f"  round {number}/{of} {case:8} {peer:10} {sample['requests_hz']:8.0f}/s "
        f"p50 {sample['p50_us']:.0f} us p99 {sample['p99_us']:.0f} us "
        f"proxy {sample['cpu_share']:.0%}"
        + (f" ({sample['n_errors']:.0f} errors)" if sample["n_errors"] else "")
    )


def middle(samples: list[Sample], key: str) -> float:
    """Return the median over rounds."""
    return median(sample[key] for sample in samples)


def throughput_table(samples: Samples, case: str, peers: Sequence[Peer]) -> str:
    """Return requests/s by peer, with ratios to nginx and Envoy."""
    rates = {p.name: middle(samples[case, p.name], "requests_hz") for p in peers}
    rows = []
    for peer in peers:
        seen = samples[case, peer.name]
        cpu = middle(seen, "cpu_share")
        per_core = f"{rates[peer.name] / cpu:,.0f}" if cpu > 0.02 else "-"
        spread = [sample["requests_hz"] for sample in seen]
        rows.append(
            [
                peer.name,
                f"{rates[peer.name]:,.0f}",
                f"{min(spread):,.0f} – {max(spread):,.0f}",
                *(
                    f"{rates[peer.name] / rates[other]:.2f}" if rates.get(other) else "-"
                    for other in ("envoy", "nginx")
                ),
                f"{middle(seen, 'p50_us') / 1e3:.2f}",
                f"{middle(seen, 'p99_us') / 1e3:.2f}",
                f"{cpu:.0%}" if peer.name != "direct" else "-",
                per_core,
                f"{sum(sample['n_errors'] for sample in seen):.0f}",
            ]
        )
    head = ["", "requests/s", "range", "× Envoy", "× nginx", "p50 ms", "p99 ms", "proxy's core"]
    return table([*head, "requests per core-second", "errors"], rows)


def latency_table(samples: Samples, peers: Sequence[Peer]) -> str:
    """Return response times at one connection and what is added over direct."""
    base = {
        key: middle(samples["latency", "direct"], key)
        if samples.get(("latency", "direct"))
        else 0.0
        for key in ("p50_us", "p99_us", "mean_us")
    }
    added = {
        (peer.name, key): middle(samples["latency", peer.name], key) - base[key]
        for peer in peers
        for key in base
    }
    rows = []
    for peer in peers:
        seen = samples["latency", peer.name]
        cells: list[str] = [peer.name]
        for key in base:
            cells += [f"{middle(seen, key):.0f}", f"{added[peer.name, key]:+.0f}"]
        for key in ("p50_us", "p99_us"):
            for other in ("envoy", "nginx"):
                reference = added.get((other, key), 0.0)
                cells.append(f"{added[peer.name, key] / reference:.2f}" if reference > 0 else "-")
        rows.append(cells)
    head = ["", "p50 µs", "added", "p99 µs", "added", "mean µs", "added"]
    head += [f"added {q} × {other}" for q in ("p50", "p99") for other in ("Envoy's", "nginx's")]
    return table(head, rows)


def stream_table(samples: Samples, peers: Sequence[Peer]) -> str:
    """Return stalls and delays of the event streams."""
    rows = []
    for peer in peers:
        seen = samples[SSE, peer.name]
        rows.append(
            [
                peer.name,
                f"{sum(s['events'] for s in seen) / sum(s['events_expected'] for s in seen):.1%}",
                f"{sum(s['stalls'] for s in seen):.0f}",
                f"{max(s['stalled_streams'] for s in seen):.0f}",
                f"{sum(s['lost_streams'] for s in seen):.0f}",
                *(f"{middle(seen, f'delay_{q}_us') / 1e3:.2f}" for q in ("p50", "p99", "max")),
                f"{middle(seen, 'cpu_share'):.0%}" if peer.name != "direct" else "-",
            ]
        )
    head = ["", "events", "stalls > 2 × interval", "streams with a stall", "streams lost"]
    return table([*head, "delay p50 ms", "p99 ms", "max ms", "proxy's core"], rows)


def markdown(samples: Samples, peers: Sequence[Peer], options: argparse.Namespace) -> str:
    """Return the whole report."""
    titles = {
        "small": "Small replies (44 bytes), 64 connections, the same request again and again",
        "sdk": "Small replies, 64 connections, POST with the 18 headers of an SDK, no two alike",
        "large": "64 KB replies, 64 connections",
        "upload": "1 MB uploads, 16 connections",
        "latency": "One connection, small replies",
        SSE: f"{options.streams} event streams at {EVENT_RATE_HZ} events/s",
    }
    versions = ", ".join(f"{p.name}: {p.version()}" for p in peers if p.name != "direct")
    parts = [
        f"Medians of {options.rounds} rounds of {options.seconds:.0f} s, peers in turn. Proxy on "
        f"core {PROXY_CORE}; {wrk.version()} and the upstream on core {LOAD_CORE}. {versions}."
    ]
    measured = {case for case, _ in samples}
    for case, title in titles.items():
        if case not in measured:
            continue
        if case == "latency":
            body = latency_table(samples, peers)
        elif case == SSE:
            body = stream_table(samples, peers)
        else:
            body = throughput_table(samples, case, peers)
        parts.append(f"**{title}**\n\n{body}")
    return "\n\n".join(parts)


def estimate_s(n_peers: int, options: argparse.Namespace) -> float:
    """Return about how long the run takes."""
    n_cases = sum(case.name in options.cases for case in CASES)
    loads = n_cases * options.rounds * (options.seconds + 1.3)
    streams = options.sse_rounds * (options.sse_seconds + 3.0) if SSE in options.cases else 0.0
    return float(n_peers * (loads + streams + 1.0))


def arguments(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="bench proxy", description=__doc__)
    parser.add_argument("--peers", default=DEFAULT_PEERS)
    parser.add_argument("--cases", default="small,sdk,large,upload,latency,sse")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="per measurement (whole seconds)"
    )
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--sse-rounds", type=int, default=1)
    parser.add_argument("--sse-seconds", type=float, default=6.0)
    parser.add_argument("--workers", type=int, choices=(2, 4), help="Governor with so many, too")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    options = arguments(argv)
    more = f",governor-{options.workers}" if options.workers else ""
    peers = select(options.peers + more)
    print(
        f"proxy: {options.cases} through {', '.join(p.name for p in peers)}; "
        f"about {estimate_s(len(peers), options) / 60:.1f} min"
    )
    samples, measured = run(peers, options)
    data: dict[str, Any] = {
        "options": vars(options),
        "versions": {p.name: p.version() for p in measured},
        "samples": {f"{case}/{peer}": seen for (case, peer), seen in samples.items()},
    }
    save("proxy", " ".join(["proxy", *argv]), markdown(samples, measured, options), data)
    return 0

"""``python -m bench workers``: what several processes cost, and how far they carry.

All of Governor's processes share one core, load generator and upstream the other, so what is
measured is the processor time of one request in each process: in the only one, in a worker, in
the keeper. Where every process has a core of its own, so many workers carry as many times what
one process carries as a worker's time is shorter than its, until the keeper's core is full; the
table says both. The clock of processes has ticks of 10 ms: a measurement of three seconds is
exact to half a percent.
"""

from __future__ import annotations

import argparse
from statistics import median

from bench import wrk
from bench.children import read_usage
from bench.origin import start_nginx_origin, start_uvloop_origin
from bench.peers.base import Running, which
from bench.peers.governor import (
    FourWorkersPeer,
    GovernorPeer,
    RunningProcesses,
    TwoWorkersPeer,
)
from bench.proxy import AGENT_HEADERS, LOAD_CORE, PROXY_CORE
from bench.report import save, table

PEERS = (GovernorPeer(), TwoWorkersPeer(), FourWorkersPeer())
N_CONNECTIONS = 64

Sample = dict[str, float]


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="bench workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="whole seconds")
    options = parser.parse_args(argv)
    origin, port = (start_nginx_origin if which("nginx") else start_uvloop_origin)(LOAD_CORE)
    samples: dict[int, list[Sample]] = {}
    try:
        for number in range(1, options.rounds + 1):
            for peer in PEERS:
                with peer.start(port, PROXY_CORE) as running:
                    sample = measure(running, options.seconds)
                samples.setdefault(peer.n_workers, []).append(sample)
                told = ", ".join(f"{name} {value:.1f}" for name, value in sample.items())
                print(f"  round {number}/{options.rounds} {peer.name:10} {told}", flush=True)
    finally:
        origin.stop()
    data = {"options": vars(options), "samples": {str(n): x for n, x in samples.items()}}
    save("workers", " ".join(["workers", *argv]), markdown(samples, options), data)
    return 0


def measure(running: Running, duration_s: float) -> Sample:
    """Return the processor time of a request in each process, in microseconds."""
    url = running.url + "/tool"
    wrk.run(url, N_CONNECTIONS, 1.0, core=LOAD_CORE, headers=AGENT_HEADERS)
    pids = [running.child.pid] if running.child is not None else []
    if isinstance(running, RunningProcesses):
        pids = running.pids()[1:]  # the keeper is the first that is forked
    before = [read_usage(pid).cpu_s for pid in pids]
    load = wrk.run(url, N_CONNECTIONS, duration_s, core=LOAD_CORE, headers=AGENT_HEADERS)
    used_s = [read_usage(pid).cpu_s - was for pid, was in zip(pids, before, strict=True)]
    single = wrk.run(url, 1, 1.0, core=LOAD_CORE, headers=AGENT_HEADERS)
    n_requests = load.requests_hz * duration_s
    keeper_s = used_s[0] if len(used_s) > 1 else 0.0
    return {
        "requests_hz": load.requests_hz,
        "serve_us": (sum(used_s) - keeper_s) / n_requests * 1e6,
        "keep_us": keeper_s / n_requests * 1e6,
        "p50_of_one_us": single.p50_us,
        "p99_of_one_us": single.p99_us,
        "errors": load.n_errors + single.n_errors,
    }


def markdown(samples: dict[int, list[Sample]], options: argparse.Namespace) -> str:
    """Return the report."""

    def middle(n: int, key: str) -> float:
        return median(sample[key] for sample in samples[n])

    alone_us = middle(1, "serve_us")
    rows = []
    for n in samples:
        serve_us, keep_us = middle(n, "serve_us"), middle(n, "keep_us")
        by_workers = n * alone_us / serve_us
        by_keeper = alone_us / keep_us if keep_us else by_workers
        rows.append(
            [
                str(n),
                f"{middle(n, 'requests_hz'):,.0f}",
                f"{serve_us:.1f}",
                f"{keep_us:.1f}" if n > 1 else "-",
                f"{min(by_workers, by_keeper):.2f}",
                f"{by_keeper:.1f}" if n > 1 else "-",
                f"{middle(n, 'p50_of_one_us'):.0f}",
                f"{middle(n, 'p99_of_one_us'):.0f}",
                f"{sum(sample['errors'] for sample in samples[n]):.0f}",
            ]
        )
    head = ["workers", "requests/s on one core together", "µs a request where it is served"]
    head += ["µs at the keeper", "× one process, a core each", "at most, by the keeper"]
    head += ["one connection: p50 µs", "p99 µs", "errors"]
    return (
        f"Medians of {options.rounds} rounds of {options.seconds:.0f} s, {N_CONNECTIONS} "
        f"connections, small replies. All processes of Governor on core {PROXY_CORE}; "
        f"{wrk.version()} and the upstream on core {LOAD_CORE}.\n\n{table(head, rows)}"
    )

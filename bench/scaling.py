"""``python -m bench scaling``: twice the workers on twice the processor.

How many more requests several workers serve shows only where the load generator leaves them the
cores. On a machine with two it does so if Governor's processes may not use them up: one process
gets a share of one core, two workers and their keeper together twice that share, wherever the
scheduler puts them. What the generator and the upstream need comes out of the rest. So the ratio of
requests/s is what twice the processor is worth. One process and two workers take turns.
"""

from __future__ import annotations

import argparse
from statistics import median, quantiles

from bench import wrk
from bench.origin import start_nginx_origin, start_uvloop_origin
from bench.peers.base import Running, which
from bench.peers.governor import GovernorPeer, RunningProcesses, TwoWorkersPeer
from bench.proxy import AGENT_HEADERS, LOAD_CORE
from bench.quota import cpu_quota
from bench.report import save, table

PEERS = (GovernorPeer(), TwoWorkersPeer())
N_CONNECTIONS = 64
BOUND_RATIO = 1.8
"""Of the requests/s of one process, at least, with two workers."""


def main(argv: list[str]) -> int:
    """Run the comparison; status 1 if two workers serve less than the bound."""
    parser = argparse.ArgumentParser(prog="bench scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0, help="whole seconds")
    parser.add_argument("--share", type=float, default=0.4, help="of a core, for each worker")
    options = parser.parse_args(argv)
    origin, port = (start_nginx_origin if which("nginx") else start_uvloop_origin)(LOAD_CORE)
    rates: dict[int, list[float]] = {peer.n_workers: [] for peer in PEERS}
    n_errors = 0
    try:
        for number in range(1, options.rounds + 1):
            for peer in PEERS if number % 2 else PEERS[::-1]:
                with peer.start(port, None) as running:
                    load = measure(running, peer.n_workers * options.share, options.seconds)
                rates[peer.n_workers].append(load.requests_hz)
                n_errors += load.n_errors
            told = ", ".join(f"{n}: {seen[-1]:,.0f}/s" for n, seen in rates.items())
            print(f"  round {number}/{options.rounds} {told}", flush=True)
    finally:
        origin.stop()
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    text = markdown(rates, ratios, n_errors, options)
    save("scaling", " ".join(["scaling", *argv]), text, {"options": vars(options), "rates": rates})
    return 0 if median(ratios) >= BOUND_RATIO else 1


def measure(running: Running, cores: float, duration_s: float) -> wrk.Load:
    """Drive it within its share."""
    url = running.url + "/tool"
    wrk.run(url, N_CONNECTIONS, 1.0, core=LOAD_CORE, headers=AGENT_HEADERS)
    assert running.child is not None
    pids = running.pids() if isinstance(running, RunningProcesses) else [running.child.pid]
    with cpu_quota(cores, pids):
        return wrk.run(url, N_CONNECTIONS, duration_s, core=LOAD_CORE, headers=AGENT_HEADERS)


def markdown(
    rates: dict[int, list[float]],
    ratios: list[float],
    n_errors: int,
    options: argparse.Namespace,
) -> str:
    """Return the report."""
    rows = [
        [
            str(n),
            f"{n * options.share:.2f}",
            f"{median(seen):,.0f}",
            f"{min(seen):,.0f} – {max(seen):,.0f}",
        ]
        for n, seen in rates.items()
    ]
    low, middle, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    head = ["workers", "cores that all of Governor may use", "requests/s", "least – most"]
    return (
        f"Medians of {options.rounds} rounds of {options.seconds:.0f} s in turns, {N_CONNECTIONS} "
        f"connections, small replies; {wrk.version()} and the upstream on core {LOAD_CORE}. "
        f"Two workers over one process, of the same round: **{middle:.2f}** (quartiles {low:.2f} – "
        f"{high:.2f}; asked: {BOUND_RATIO}). Errors: {n_errors}.\n\n{table(head, rows)}"
    )

"""``python -m bench scaling``: twice the workers on twice the processor.

How many more requests several workers serve shows only where the load generator leaves them the
cores. On a machine with two it does so if Governor's processes may not use them up: one process
gets a share of one core, two workers twice that share, wherever the scheduler puts them. What the
generator and the upstream need comes out of the rest. So the ratio of requests/s is what a second
worker is worth. Two workers have a keeper beside them, which decides: once it has to live on the
same share, as on a machine without a core for it, and once it does not.
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

ONE, WITHIN, BESIDE = "one process", "two workers and their keeper", "two workers, keeper beside"
N_WORKERS = {ONE: 1, WITHIN: 2, BESIDE: 2}
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
    rates: dict[str, list[float]] = {name: [] for name in N_WORKERS}
    n_errors = 0
    try:
        for number in range(1, options.rounds + 1):
            for name in list(N_WORKERS)[:: 1 if number % 2 else -1]:
                peer = GovernorPeer() if name == ONE else TwoWorkersPeer()
                with peer.start(port, None) as running:
                    load = measure(running, name, options)
                rates[name].append(load.requests_hz)
                n_errors += load.n_errors
            told = ", ".join(f"{name}: {seen[-1]:,.0f}/s" for name, seen in rates.items())
            print(f"  round {number}/{options.rounds} {told}", flush=True)
    finally:
        origin.stop()
    ratios = {
        name: [some / one for one, some in zip(rates[ONE], seen, strict=True)]
        for name, seen in rates.items()
    }
    text = markdown(rates, ratios, n_errors, options)
    save("scaling", " ".join(["scaling", *argv]), text, {"options": vars(options), "rates": rates})
    return 0 if median(ratios[BESIDE]) >= BOUND_RATIO else 1


def measure(running: Running, name: str, options: argparse.Namespace) -> wrk.Load:
    """Drive it within its share."""
    url = running.url + "/tool"
    wrk.run(url, N_CONNECTIONS, 1.0, core=LOAD_CORE, headers=AGENT_HEADERS)
    assert running.child is not None
    pids = running.pids() if isinstance(running, RunningProcesses) else [running.child.pid]
    if name == BESIDE:
        del pids[1]  # the keeper is the first that is forked
    with cpu_quota(N_WORKERS[name] * options.share, pids):
        seconds = options.seconds
        return wrk.run(url, N_CONNECTIONS, seconds, core=LOAD_CORE, headers=AGENT_HEADERS)


def markdown(
    rates: dict[str, list[float]],
    ratios: dict[str, list[float]],
    n_errors: int,
    options: argparse.Namespace,
) -> str:
    """Return the report."""
    rows = []
    for name, seen in rates.items():
        these = ratios[name]
        low, middle, high = quantiles(these, n=4) if len(these) > 1 else these * 3
        rows.append(
            [
                name,
                f"{N_WORKERS[name] * options.share:.2f}",
                f"{median(seen):,.0f}",
                f"{middle:.2f} ({low:.2f} – {high:.2f})",
            ]
        )
    head = ["", "cores that these may use", "requests/s"]
    head += ["ratio to one process, of the same round (quartiles)"]
    return (
        f"Medians of {options.rounds} rounds of {options.seconds:.0f} s in turns, {N_CONNECTIONS} "
        f"connections, small replies; {wrk.version()} and the upstream on core {LOAD_CORE}. Asked: "
        f"{BOUND_RATIO} times one process. Errors: {n_errors}.\n\n{table(head, rows)}"
    )

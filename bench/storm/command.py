"""``python -m bench storm``: a fleet that retries against a service that stalls.

2,000 agents keep a service of 32 slots × 0.1 s at 75 % load. At 8 s it falls to a
tenth of its speed for 4 s; its work goes on when callers leave. Callers time out
at 2 s and retry up to 6 times as the OpenAI SDK does. Callers and service share
core 1, what is in front of the service has core 0. Seeds and peers take turns.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import orjson

from bench.children import BenchError, start_python
from bench.control import read_metrics
from bench.peers import Peer, Running, select
from bench.report import RESULTS, save, table
from bench.service import server
from bench.storm_analysis import Axis, analyse
from bench.storm_picture import draw_html, draw_png

PROXY_CORE = 0
LOAD_CORE = 1
SLOTS, MEAN_S, SIGMA = 32, 0.1, 0.5
FAULT_S, FAULT_LENGTH_S, FAULT_SPEED = 8.0, 4.0, 0.1
CALM_RESPONSE_S = 0.11
"""Response time at 75 % load, subtracted from the cycle to get the think time."""
DRAIN_S = 10.0
DEFAULT_PEERS = "direct,envoy-adaptive,nginx-limit,governor"

Result = dict[str, Any]


def run_one(peer: Peer, seed: int, options: argparse.Namespace, axis: Axis) -> Result:
    """Run one fleet through one peer against a fresh service."""
    faults = [f"{axis.fault_s}:{axis.fault_end_s - axis.fault_s}:{options.speed}"]
    service, service_port = server.start(LOAD_CORE, SLOTS, MEAN_S, SIGMA, seed, faults)
    try:
        with (
            peer.start(service_port, PROXY_CORE) as running,
            tempfile.TemporaryDirectory() as folder,
        ):
            out = Path(folder) / "record.json"
            before_s = running.cpu_s()
            fleet = start_python(
                "fleet",
                "bench.callers.fleet",
                fleet_words(running, service_port, seed, options, axis, out),
                LOAD_CORE,
            )
            fleet.read_rest(timeout_s=options.seconds + DRAIN_S + 30.0)
            result = analyse(orjson.loads(out.read_bytes()), axis)
            result["proxy_cpu_s"] = running.cpu_s() - before_s
            result["proxy_metrics"] = (
                read_metrics(running) if peer.name.startswith("governor") else {}
            )
            return result
    finally:
        service.stop()


def fleet_words(
    running: Running,
    service_port: int,
    seed: int,
    options: argparse.Namespace,
    axis: Axis,
    out: Path,
) -> list[str]:
    """Return the command line of the fleet's process."""
    plan: dict[str, object] = {
        "port": running.port,
        "service-port": service_port,
        "agents": options.agents,
        "think-s": options.agents / axis.offered_hz - CALM_RESPONSE_S,
        "timeout-s": options.timeout,
        "retries": options.retries,
        "law": options.law,
        "seconds": options.seconds,
        "drain-s": DRAIN_S,
        "seed": seed,
        "out": out,
    }
    return [word for name, value in plan.items() for word in (f"--{name}", str(value))]


def recovery_text(results: Sequence[Result]) -> str:
    """Return each seed's recovery."""
    return ", ".join(
        "never" if r["recovery_s"] is None else f"{r['recovery_s']:.1f}" for r in results
    )


def markdown(results: dict[str, list[Result]], options: argparse.Namespace, versions: str) -> str:
    """Return the table over seeds."""
    rows = []
    for name, runs in results.items():

        def over(key: str, runs: list[Result] = runs) -> float:
            return float(mean(run[key] for run in runs))

        n_tasks = sum(run["tasks"] for run in runs)
        rows.append(
            [
                name,
                f"{sum(run['succeeded'] for run in runs) / n_tasks:.2%}",
                f"{sum(run['failed'] for run in runs)} / {sum(run['unfinished'] for run in runs)}",
                recovery_text(runs),
                f"{over('orphaned_work_ratio'):.2%}",
                f"{over('orphaned_slot_seconds_ratio'):.2%}",
                f"{over('attempts_per_task'):.2f}",
                f"{over('task_p50_s'):.2f} / {over('task_p99_s'):.1f} / "
                f"{max(run['task_max_s'] for run in runs):.1f}",
                f"{over('refusals'):,.0f}",
                f"{over('timeouts'):,.0f}",
                f"{over('goodput_before_hz'):.0f} / {over('goodput_after_hz'):.0f}",
            ]
        )
    head = ["in front", "tasks that succeed", "failed / unfinished", "back after s (each seed)"]
    head += ["work orphaned", "slot-seconds orphaned", "attempts a task"]
    head += ["task time p50 / p99 / max s", "refusals", "time-outs", "goodput/s before / after"]
    text = (
        f"{options.agents:,} agents, {SLOTS} slots × {MEAN_S} s, {options.load:.0%} load, "
        f"{options.speed:.0%} speed for {FAULT_LENGTH_S:.0f} s; callers time out at "
        f"{options.timeout:.0f} s and retry up to {options.retries} times as "
        f"{options.law} does; {options.seconds:.0f} s, {options.seeds} seeds. {versions}."
    )
    parts = [text, table(head, rows)]
    if results.get("governor"):
        parts.append(verdict(results["governor"]))
    return "\n\n".join([*parts, f"![goodput over time]({options.name}.png)"])


def verdict(runs: Sequence[Result]) -> str:
    """Return how Governor stands against its bounds, worst seed each."""
    recoveries = [run["recovery_s"] for run in runs]
    worst_s = None if None in recoveries else round(max(recoveries), 1)
    checks = [
        ("every task succeeds", all(run["succeeded"] == run["tasks"] for run in runs), ""),
        ("full goodput within 1 s", worst_s is not None and worst_s <= 1.0, f" ({worst_s} s)"),
    ]
    for name, key, bound in (
        ("at most 1 % of work orphaned", "orphaned_work_ratio", 0.01),
        ("at most 1.2 attempts a task", "attempts_per_task", 1.2),
    ):
        worst = max(run[key] for run in runs)
        checks.append((name, worst <= bound, f" ({worst:.4g})"))
    return "Governor, worst seed: " + "; ".join(
        f"{name}: {'yes' if is_met else 'NO'}{value}" for name, is_met, value in checks
    )


def arguments(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="bench storm", description=__doc__)
    parser.add_argument("--scenario", choices=["stall"], default="stall")
    parser.add_argument("--peers", default=DEFAULT_PEERS)
    parser.add_argument("--agents", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=32.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--load", type=float, default=0.75)
    parser.add_argument("--speed", type=float, default=FAULT_SPEED)
    parser.add_argument("--timeout", type=float, default=2.0)
    parser.add_argument("--retries", type=int, default=6)
    parser.add_argument("--law", default="openai")
    parser.add_argument("--name", default="storm", help="of the files in bench/results")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    options = arguments(argv)
    offered_hz = options.load * SLOTS / MEAN_S
    axis = Axis(FAULT_S, FAULT_S + FAULT_LENGTH_S, options.seconds, offered_hz)
    if options.seconds < axis.fault_end_s + 8:
        raise BenchError(f"--seconds must be at least {axis.fault_end_s + 8:.0f}")
    peers = select(options.peers)
    minutes = len(peers) * options.seeds * (options.seconds + 3.5) / 60
    print(
        f"storm: {options.seeds} seeds through {', '.join(p.name for p in peers)}; about "
        f"{minutes:.1f} min, and {DRAIN_S:.0f} s more for each run that does not come to rest"
    )
    results: dict[str, list[Result]] = {peer.name: [] for peer in peers}
    for seed in range(1, options.seeds + 1):
        for peer in peers:
            try:
                result = run_one(peer, seed, options, axis)
            except BenchError as error:
                print(f"- seed {seed} {peer.name} is left out: {error}", flush=True)
                continue
            results[peer.name].append(result)
            print(
                f"  seed {seed} {peer.name:15} {result['success_ratio']:.2%} succeed, back after "
                f"{recovery_text([result])} s, {result['orphaned_work_ratio']:.2%} orphaned, "
                f"{result['attempts_per_task']:.2f} attempts, {result['refusals']} refusals, "
                f"p99 {result['task_p99_s']:.1f} s",
                flush=True,
            )
    results = {name: runs for name, runs in results.items() if runs}
    if not results:
        raise BenchError("no run came to its end")
    RESULTS.mkdir(exist_ok=True)
    timelines = {name: runs[0]["timeline"] for name, runs in results.items()}
    draw_png(timelines, axis, RESULTS / f"{options.name}.png")
    draw_html(timelines, axis, RESULTS / f"{options.name}.html")
    versions = ", ".join(f"{p.name}: {p.version()}" for p in peers if p.name != "direct")
    data = {"options": vars(options), "results": results}
    save(options.name, " ".join(["storm", *argv]), markdown(results, options, versions), data)
    return 0

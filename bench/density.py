"""``python -m bench density``: the wasted share of a service against the number of agents.

Every agent is the same and acts reasonably alone: it thinks 4 s, calls, waits 2 s,
and repeats twice as the OpenAI SDK does. The service is the same too: 40 slots of
0.1 s. Only the number of agents changes, from 10 to 5,000, and what stands in
front: nothing, or Governor as it comes.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

from bench.children import BenchError
from bench.peers import select
from bench.report import RESULTS, save, table
from bench.service.spec import ServiceSpec
from bench.storm import runner
from bench.storm.base import Behind, Quantities, Scenario
from bench.storm.command import finite
from bench.storm.report import number
from bench.storm.seen import Seen
from governor.load.plan import Closed, Group

N_SLOTS, MEAN_S = 40, 0.1
CAPACITY_HZ = N_SLOTS / MEAN_S
THINK_S, TIMEOUT_S = 4.0, 2.0
AGENTS = (10, 30, 100, 300, 1_000, 1_500, 2_000, 3_000, 5_000)
WARM_S, SECONDS = 4.0, 16.0
COLOURS = {"direct": "#c0392b", "governor": "#1e7a46"}

Found = Mapping[tuple[str, int, int], Quantities]
"""Quantities by peer, number of agents and seed."""


def measure(seen: Seen) -> Quantities:
    """Return goodput after the first think time."""
    done_s = seen.ended_s[seen.is_done]
    inside = ((done_s >= WARM_S) & (done_s < seen.seconds)).sum()
    return {"warm_goodput_hz": float(inside) / (seen.seconds - WARM_S)}


def density(n_agents: int) -> Scenario:
    """Return the run with so many agents."""
    return Scenario(
        name=f"density-{n_agents}",
        family="density",
        text="",
        services=(Behind("tool", ServiceSpec(N_SLOTS, MEAN_S, 0.5)),),
        groups=(Group("agents", n_agents, Closed(THINK_S), key="fleet-key", timeout_s=TIMEOUT_S),),
        seconds=SECONDS,
        drain_s=4.0,
        measure=measure,
        musts=(),
        patience_s=TIMEOUT_S,
    )


def over_seeds(found: Found, peer: str, n_agents: int, key: str) -> float:
    """Return the mean over seeds; nan where nothing was measured."""
    values = [q[key] for (name, n, _), q in found.items() if (name, n) == (peer, n_agents)]
    return mean(values) if values else math.nan


def markdown(found: Found, peers: list[str], sizes: list[int], versions: str) -> str:
    """Return the table: a row per number of agents."""
    head = ["agents", "offered / capacity"]
    for peer in peers:
        head += [f"{peer}: waste ratio", "goodput/s", "attempts a task", "tasks that succeed"]
    rows = []
    for size in sizes:
        row = [f"{size:,}", f"{size / (THINK_S + MEAN_S) / CAPACITY_HZ:.0%}"]
        for peer in peers:
            row.append(number(over_seeds(found, peer, size, "waste_ratio"), is_share=True))
            row.append(number(over_seeds(found, peer, size, "warm_goodput_hz")))
            row.append(number(over_seeds(found, peer, size, "attempts_per_task")))
            row.append(number(over_seeds(found, peer, size, "success_ratio"), is_share=True))
        rows.append(row)
    text = (
        f"{N_SLOTS} slots × {MEAN_S} s ({CAPACITY_HZ:.0f}/s); each agent thinks {THINK_S:.0f} s, "
        f"waits {TIMEOUT_S:.0f} s, repeats as OpenAI's SDK (twice); {SECONDS:.0f} s a run. "
        "Waste ratio: upstream seconds that nobody benefited from, over all. Offered: if every "
        f"call took {MEAN_S} s. {versions}."
    )
    return "\n\n".join([text, table(head, rows), "![waste and goodput](density.png)"])


def draw_png(found: Found, peers: list[str], sizes: list[int], path: Path) -> None:
    """Write the picture: waste ratio above, goodput below, over the number of agents."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (waste, goodput) = plt.subplots(1, 2, figsize=(11, 4))
    for peer in peers:
        colour = COLOURS.get(peer)
        label = "nothing in front" if peer == "direct" else peer
        wasted = [100 * over_seeds(found, peer, size, "waste_ratio") for size in sizes]
        done = [over_seeds(found, peer, size, "warm_goodput_hz") for size in sizes]
        waste.plot(sizes, wasted, marker="o", color=colour, label=label)
        goodput.plot(sizes, done, marker="o", color=colour, label=label)
    goodput.axhline(CAPACITY_HZ, color="grey", ls="--", lw=1, label="capacity")
    waste.set_ylabel("wasted share of upstream seconds, %")
    waste.set_ylim(-2, 102)
    goodput.set_ylabel("tasks done per second")
    goodput.set_ylim(bottom=0)
    for panel in (waste, goodput):
        panel.set_xscale("log")
        panel.set_xlabel("agents")
        panel.grid(alpha=0.3)
        panel.legend(loc="upper left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def run_all(peers: list[str], sizes: list[int], n_seeds: int, is_resumed: bool) -> Found:
    """Run every cell that is not there yet; return what was measured."""
    found: dict[tuple[str, int, int], Quantities] = {}
    for seed in range(1, n_seeds + 1):
        for size in sizes:
            for peer in peers:
                scenario = density(size)
                key = runner.Key(scenario.name, peer, seed)
                cell = runner.load(key, scenario) if is_resumed else None
                try:
                    cell = cell or runner.run(scenario, peer, seed)
                except (BenchError, OSError) as error:
                    print(f"- {size} agents seed {seed} {peer}: {error!r}", flush=True)
                    continue
                quantities = found[peer, size, seed] = cell["quantities"]
                print(
                    f"  seed {seed} {size:5,} agents {peer:12} waste "
                    f"{quantities['waste_ratio']:.2%}, goodput "
                    f"{quantities['warm_goodput_hz']:.1f}/s, "
                    f"{quantities['attempts_per_task']:.2f} attempts, generator late p99 "
                    f"{quantities['late_p99_s'] * 1e3:.0f} ms",
                    flush=True,
                )
    return found


def arguments(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="bench density", description=__doc__)
    parser.add_argument("--peers", default="direct,governor")
    parser.add_argument("--agents", default=",".join(map(str, AGENTS)))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--resume", action="store_true", help="keep what was measured already")
    parser.add_argument("--name", default="density", help="of the files in bench/results")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    options = arguments(argv)
    sizes = [int(word) for word in options.agents.split(",")]
    chosen = select(options.peers)
    peers = [peer.name for peer in chosen]
    minutes = len(sizes) * len(peers) * options.seeds * (SECONDS + 5.0) / 60
    print(f"density: {', '.join(peers)}, {sizes} agents; about {minutes:.0f} min", flush=True)
    found = run_all(peers, sizes, options.seeds, options.resume)
    if not found:
        raise BenchError("no run came to its end")
    RESULTS.mkdir(exist_ok=True)
    draw_png(found, peers, sizes, RESULTS / f"{options.name}.png")
    versions = ", ".join(f"{p.name}: {p.version()}" for p in chosen if p.name != "direct")
    text = markdown(found, peers, sizes, versions).replace("(density.png)", f"({options.name}.png)")
    values = [
        {"peer": peer, "agents": size, "seed": seed, "quantities": finite(quantities)}
        for (peer, size, seed), quantities in found.items()
    ]
    save(options.name, " ".join(["density", *argv]), text, {"runs": values})
    return 0

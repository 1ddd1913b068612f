"""``python -m bench NAME``: one command per measurement."""

from __future__ import annotations

import importlib
import sys

from bench.children import BenchError, cleaned_up

COMMANDS = {
    "proxy": ("bench.proxy", "requests/s, latency, uploads, event streams beside the peers"),
    "workers": ("bench.workers", "what several processes cost, and how far they carry"),
    "scaling": ("bench.scaling", "two workers on twice the processor of one process"),
    "workers-storm": ("bench.workers_storm", "one storm before one process and before several"),
    "footprint": ("bench.footprint", "memory idle and per connection, start to first request"),
    "telemetry": ("bench.telemetry", "what OpenTelemetry costs, sampled and not"),
    "dashboard": ("bench.dashboard", "what watching costs the proxy and the browser"),
    "gate": ("bench.gate", "cost of one arrive + depart of the real gate"),
    "storm": ("bench.storm", "fleets against services in trouble, ten scenarios, peers in turn"),
    "density": ("bench.density", "the wasted share of a service against the number of agents"),
    "replay": ("bench.replay", "a recorded fleet through the proxy"),
    "record": ("bench.record", "what recording costs, and how fast a recording replays"),
    "hour": ("bench.hour", "an hour of ever new callers on a virtual clock: memory"),
    "overhead": ("bench.overhead", "what the recorder and an open dashboard cost a request"),
    "limit": ("bench.limit", "the adaptive limit on a virtual clock"),
    "simulate": ("bench.simulate", "the same fleets on a virtual clock, to a million agents"),
    "fleet": ("bench.fleet", "many governors, one view: simulated, its cost, and for real"),
    "detect": ("bench.detect", "what the signals see, when, and what they mistake"),
}


def main(argv: list[str]) -> int:
    """Run the named command with the rest of the arguments."""
    if not argv or argv[0] in ("-h", "--help") or argv[0] not in COMMANDS:
        print("usage: python -m bench NAME [options]\n")
        for name, (_, text) in COMMANDS.items():
            print(f"  {name:13} {text}")
        return 0 if argv and argv[0] in ("-h", "--help") else 2
    module = importlib.import_module(COMMANDS[argv[0]][0])
    try:
        with cleaned_up():
            return int(module.main(argv[1:]) or 0)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbench: interrupted; all processes stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m bench workers-storm``: one storm before one process, and before several.

The real gate with its real signals and adaptive limit on a made-up time axis; between workers and
keeper real rings, whose records take ``LAG_NS`` where a bell is rung and up to ``LOOK_NS`` where
none is. Services and callers are modelled: slots and a queue, OpenAI's law of retries, patience of
two seconds. The same seeds for every number of workers; what differs between seeds is the noise
that a difference between numbers of workers must be held against.

The map: ``world`` (time, gate, keeper and workers), ``service``, ``callers``, ``play`` (a run).
"""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """Run the command."""
    from bench.workers_storm.command import main as run

    return run(argv)

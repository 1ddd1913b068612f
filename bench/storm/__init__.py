"""``python -m bench storm``: fleets of agents against services in trouble, peers side by side.

One scenario per file: its services, its callers and what is measured, fixed before
any result was seen. ``runner`` runs one cell (scenario, peer, seed) and keeps it,
``verdict`` holds what was asked against what was measured, ``report`` and
``picture`` write it down.
"""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """Run the command."""
    from bench.storm.command import main as run

    return run(argv)

"""``python -m bench simulate``: socket benchmarks on a virtual clock, and to a million agents.

Two tiers. The *exact* one plays a socket scenario with the real gate (policies, signals,
dispatcher, reservations), the real service slots and the real retry laws, and is held
against the sockets cell by cell. The *scale* one plays the same laws compiled, with
the governor reduced to those of its laws that decide a steady overload, and is held against
the exact one; it goes to a million agents, ten thousand upstreams and a thousand
governors that share what they know late, or not at all.
"""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """Run the command."""
    from bench.simulate.command import main as run

    return run(argv)

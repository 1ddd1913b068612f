"""``python -m bench fleet``: many governors in front of one service, on virtual time and for real.

``simulated``: the real gates and a modelled service, by scenario, delay, loss and outage.
``cost``: round trips, bytes and processor time of an exchange, at 3 and at 1,000 governors.
``storm``: scenarios of ``bench storm`` through one governor and through three, for real.
``demo``: one storm to watch.
"""

from __future__ import annotations

import argparse
import importlib


def main(argv: list[str]) -> int:
    """Run one of them."""
    parser = argparse.ArgumentParser(
        prog="python -m bench fleet",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("what", choices=("simulated", "cost", "storm", "demo"))
    options, _ = parser.parse_known_args(argv[:1])
    module = importlib.import_module(f"bench.fleet.{options.what}")
    return int(module.main(argv[1:]))

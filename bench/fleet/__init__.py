"""``python -m bench fleet``: many governors in front of one service, on virtual time and for real.

``simulated``: the real gates and a modelled service, by scenario, delay, loss and outage.
``cost``: round trips, bytes and processor time of an exchange, at 3 and at 1,000 governors.
``storm``: scenarios of ``bench storm`` through one governor and through three, for real.
"""

from __future__ import annotations

import argparse


def main(argv: list[str]) -> int:
    """Run one of the three."""
    parser = argparse.ArgumentParser(
        prog="python -m bench fleet", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("simulated", "cost", "storm"))
    options, rest = parser.parse_known_args(argv)
    if options.what == "simulated":
        from bench.fleet import simulated as chosen
    elif options.what == "cost":
        from bench.fleet import cost as chosen  # type: ignore[no-redef]
    else:
        from bench.fleet import storm as chosen  # type: ignore[no-redef]
    return chosen.main(rest)

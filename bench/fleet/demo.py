"""``make fleet-demo``: three governors, a real Redis, one service, one storm; watch it as one.

*Rule of this file*: what is shown. The parts are those of ``bench fleet storm``. The picture in
``docs/fleet.png`` is made so::

    python -m bench fleet demo --picture docs/fleet.png
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.children import HOST, BenchError
from bench.control import read_json
from bench.fleet.peer import FLEET_PEERS, FleetRunning
from bench.peers import PEERS
from bench.storm import runner
from bench.storm.catalogue import SCENARIOS

QUANTITIES = (
    ("success_ratio", "tasks that succeeded", "{:.2%}"),
    ("goodput_hz", "tasks a second", "{:.0f}"),
    ("attempts_per_task", "attempts a task", "{:.2f}"),
    ("waste_ratio", "upstream work that nobody benefited from", "{:.2%}"),
)


PICTURE_S = 6.0
"""After the first sign of trouble, in the midst of it."""


@contextmanager
def photographer(out: Path | None, url: str) -> Iterator[None]:
    """Let a browser take a picture of a page in the storm; nothing where none is asked for."""
    if out is None:
        yield
        return
    command = [sys.executable, "-m", "bench.dashboard_picture", str(out), "--url", url]
    with subprocess.Popen([*command, "--until", "Going on", "--after", str(PICTURE_S)]) as child:
        try:
            yield
        finally:
            try:
                child.wait(10.0)
            except subprocess.TimeoutExpired:  # there was no trouble to be seen
                child.terminate()


def main(argv: list[str]) -> int:
    """Play the storm, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m bench fleet demo", description=__doc__)
    parser.add_argument("--scenario", default="stall")
    parser.add_argument("--seconds", type=float, help="cut it short")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds to open the pages in")
    parser.add_argument("--crash", action="store_true", help="kill the Redis in the middle")
    parser.add_argument("--picture", type=Path, help="write the first page in its storm there")
    options = parser.parse_args(argv)
    if options.scenario not in SCENARIOS:
        raise BenchError(f"no scenario {options.scenario!r}: there are {', '.join(SCENARIOS)}")
    scenario = SCENARIOS[options.scenario]
    if options.seconds is not None:
        scenario = replace(scenario, seconds=options.seconds, drain_s=2.0)
    PEERS.update(FLEET_PEERS)
    peer = "governor-crash" if options.crash else "governor-fleet"
    print(f"{scenario.text}\n\nStarting a Redis, the service and three governors ...", flush=True)
    with runner.started(scenario, peer, 1) as (running, places):
        if not isinstance(running, FleetRunning):
            raise BenchError("the fleet did not start as one")
        for one in running.peers:
            print(f"  dashboard: http://{HOST}:{one.admin_port}/dashboard")
        print(f"The storm begins in {options.pause:.0f} s; each page shows the fleet.", flush=True)
        first = running.peers[0].admin_port
        with photographer(options.picture, f"http://{HOST}:{first}/dashboard"):
            time.sleep(options.pause)
            found, _ = runner.fleet(scenario, running, places, 1)
        for name, view in read_json(running, "/fleet")["fleet"]["upstreams"].items():
            exchanges = view["exchanges"]
            print(f"\n{name}: {view['in_words']}")
            print(f"  exchanges: {exchanges['done']} done, {exchanges['failed']} failed")
    for key, text, form in QUANTITIES:
        print(f"  {form.format(found[key])} {text}")
    return 0

"""One cell of the comparison: a scenario through a peer with a seed; kept in a file of its own.

*Rule of this file*: processes, ports and files; what the numbers mean is elsewhere.
A cell whose file is there, and was measured with the same definition and the same
Governor, is not run again when the benchmark goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from bench.children import BenchError, Child, start_python
from bench.control import ask, read_json, read_metrics
from bench.detect.traces import find_folder
from bench.peers import PEERS, Running
from bench.peers.topology import Topology, Upstream
from bench.replay import count_interventions
from bench.report import RESULTS, product_revision
from bench.service import server
from bench.storm import common, recorded
from bench.storm.base import Quantities, Scenario
from bench.storm.seen import Seen
from bench.storm.series import Timeline, timeline
from governor.load.plan import Plan, plan_to_json

PROXY_CORE, LOAD_CORE = 0, 1
FOLDER = RESULTS / "storm"
ALONE = "alone"
"""The pseudo-peer of the runs without the others and with nothing in front."""
GRACE_S = 30.0
"""A fleet's process that takes longer than its plan by this much is given up."""

Cell = dict[str, Any]


@dataclass(frozen=True)
class Key:
    """What names a cell."""

    scenario: str
    peer: str
    seed: int

    @property
    def path(self) -> Path:
        """Where the cell is kept."""
        return FOLDER / f"{self.scenario}--{self.peer}--{self.seed}.json"


def fingerprint(scenario: Scenario) -> str:
    """Return a word that changes with the definition of what is run (not of what is measured)."""
    parts = (scenario.services, scenario.groups, scenario.seconds, scenario.drain_s)
    return hashlib.sha256(repr((*parts, scenario.recording)).encode()).hexdigest()[:12]


def load(key: Key, scenario: Scenario) -> Cell | None:
    """Return a kept cell if it still belongs to the scenario and, for Governor, its commit."""
    if not key.path.exists():
        return None
    cell: Cell = json.loads(key.path.read_text())
    is_same = cell["fingerprint"] == fingerprint(scenario)
    if key.peer.startswith("governor"):
        is_same = is_same and cell["commit"] == product_revision()
    return cell if is_same else None


def run(scenario: Scenario, peer: str, seed: int) -> Cell:
    """Run one cell and keep it."""
    found, log, facts = measure(scenario, peer, seed)
    cell = {
        "scenario": scenario.name,
        "peer": peer,
        "seed": seed,
        "commit": product_revision(),
        "fingerprint": fingerprint(scenario),
        "quantities": found,
        "timeline": log,
        **facts,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    Key(scenario.name, peer, seed).path.write_text(json.dumps(cell) + "\n")
    return cell


def measure(
    scenario: Scenario, peer: str, seed: int
) -> tuple[Quantities, Timeline, dict[str, Any]]:
    """Run the processes of one cell; return quantities, timeline, and what Governor says."""
    if peer == ALONE:
        scenario = alone(scenario)
        peer = "direct"
    with started(scenario, peer, seed) as (running, places):
        before_s = running.cpu_s()
        if scenario.recording is not None:
            found, line = replayed(scenario, running, places), Timeline()
        else:
            found, line = fleet(scenario, running, places, seed)
        found["proxy_cpu_s"] = running.cpu_s() - before_s
        said = said_by(running, peer)
        found["interventions"] = (
            float(count_interventions(said)) if said else found.get("refusals", 0.0)
        )
    return found, line, {"governor": said.get("metrics", {})} if said else {}


def alone(scenario: Scenario) -> Scenario:
    """Return the scenario with nobody but the groups against which it is held."""
    groups = tuple(group for group in scenario.groups if group.name in scenario.alone)
    return replace(scenario, groups=groups)


def said_by(running: Running, peer: str) -> dict[str, Any]:
    """Return what Governor says of itself; nothing for others."""
    if not peer.startswith("governor"):
        return {}
    metrics = {name: value for name, value in read_metrics(running).items() if value}
    return {"metrics": metrics, "decisions": read_json(running, "/decisions?last=1")}


@contextlib.contextmanager
def started(
    scenario: Scenario, peer: str, seed: int
) -> Iterator[tuple[Running, list[tuple[str, int]]]]:
    """Start services and peer; yield the peer and every endpoint as (service, port)."""
    children: list[Child] = []
    places: list[tuple[str, int]] = []
    try:
        upstreams = []
        for behind in scenario.services:
            ports = []
            for number, spec in enumerate(behind.specs):
                child, port = server.start(LOAD_CORE, spec, seed * 100 + number)
                children.append(child)
                ports.append(port)
                places.append((behind.name, port))
            upstreams.append(Upstream(behind.name, tuple(ports), behind.told_slots))
        topology = Topology(tuple(upstreams), scenario.patience_s)
        with PEERS[peer]().start(topology, PROXY_CORE) as running:
            for behind, upstream in zip(scenario.services, upstreams, strict=True):
                if behind.calls:
                    port, path = running.place_of(behind.calls)
                    ask(upstream.ports[0], f"/-/calls?{port}{path}")
            yield running, places
    finally:
        for child in children:
            child.stop()


def fleet(
    scenario: Scenario, running: Running, places: list[tuple[str, int]], seed: int
) -> tuple[Quantities, Timeline]:
    """Run the scenario's fleet; return what was measured."""
    plan = Plan(
        targets=running.urls,
        groups=scenario.groups,
        seconds=scenario.seconds,
        drain_s=scenario.drain_s,
        seed=seed,
        is_numbered=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        plan_path, out = Path(folder) / "plan.json", Path(folder) / "record.json"
        plan_path.write_bytes(plan_to_json(plan))
        words = [str(plan_path), str(out), *(f"{name}={port}" for name, port in places)]
        child = start_python("fleet", "bench.storm.drive", words, LOAD_CORE)
        child.read_rest(timeout_s=scenario.seconds + scenario.drain_s + GRACE_S)
        found = orjson.loads(out.read_bytes())
    names = [group.name for group in scenario.groups]
    seen = Seen(found["record"], found["logs"], names, scenario.seconds, found["begun_s"])
    quantities = common.measure(seen, scenario.watched) | scenario.measure(seen)
    return quantities, timeline(seen, scenario.watched)


def replayed(scenario: Scenario, running: Running, places: list[tuple[str, int]]) -> Quantities:
    """Replay the scenario's recording; return what was measured."""
    path = recording_path(scenario)
    if path is None:
        raise BenchError(f"{scenario.name}: no recording")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "replayed.json"
        words = [str(path), str(out), "--scenario", scenario.name]
        words += ["--ports", f"{running.port},{places[0][1]}"]
        child = start_python("replay", "bench.storm.recorded", words, LOAD_CORE)
        child.read_rest(timeout_s=scenario.seconds + scenario.drain_s + 2 * GRACE_S)
        return recorded.quantities(orjson.loads(out.read_bytes()))


def recording_path(scenario: Scenario) -> Path | None:
    """Return where the recording of a scenario lies; None where it is absent."""
    folder = find_folder()
    if folder is None or scenario.recording is None:
        return None
    path = folder / scenario.recording.file
    return path if path.exists() else None

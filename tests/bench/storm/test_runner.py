"""Cells: kept, found again, run anew when what they measured has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from bench.children import cleaned_up
from bench.service.spec import ServiceSpec
from bench.storm import runner
from bench.storm.base import Behind, Scenario
from bench.storm.herd import HERD
from governor.load.plan import Demand, Group, Open

SMALL = Scenario(
    name="small",
    family="small",
    text="",
    services=(
        Behind("a", ServiceSpec(4, 0.01, 0.0, workers_call="/b"), calls="b"),
        Behind("b", ServiceSpec(2, 0.01, 0.0, faults=((0.2, 0.1, 0.5),))),
    ),
    groups=(
        Group("local", 2, Open(40.0), demand=Demand(0.01, 0.0), timeout_s=5.0),
        Group("needs-b", 2, Open(40.0), path="/b/x", demand=Demand(0.01, 0.0), timeout_s=5.0),
    ),
    seconds=1.0,
    drain_s=2.0,
    measure=lambda seen: {"jobs_of_b": float(len(seen.jobs["b"].attempt))},
    musts=(),
    alone=("local",),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep cells out of the project's results."""
    monkeypatch.setattr(runner, "FOLDER", tmp_path)
    return tmp_path


def test_a_cell_is_run_kept_and_found_again() -> None:
    """Services, fleet and logs come together; a changed definition is another cell."""
    with cleaned_up():
        cell = runner.run(SMALL, "direct", 1)
    assert cell["quantities"]["success_ratio"] == 1.0
    assert cell["quantities"]["jobs_of_b"] > 10
    assert cell["quantities"]["interventions"] == 0
    assert sum(cell["timeline"]["goodput_hz"]) > 0
    key = runner.Key("small", "direct", 1)
    assert runner.load(key, SMALL) == orjson.loads(key.path.read_bytes())
    assert runner.load(key, replace(SMALL, seconds=2.0)) is None
    assert runner.load(runner.Key("small", "direct", 2), SMALL) is None


def test_governors_cells_belong_to_a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell of another Governor is measured anew; a peer's stays."""
    for peer in ("governor", "nginx-limit"):
        cell = {"fingerprint": runner.fingerprint(SMALL), "commit": "abc"}
        runner.Key("small", peer, 1).path.write_bytes(orjson.dumps(cell))
    monkeypatch.setattr(runner, "product_revision", lambda: "def")
    assert runner.load(runner.Key("small", "governor", 1), SMALL) is None
    assert runner.load(runner.Key("small", "nginx-limit", 1), SMALL) is not None


def test_alone_means_without_the_others() -> None:
    """The groups that are held against it stay, with their place in the plan."""
    assert [group.name for group in runner.alone(HERD).groups] == ["callers"]
    assert runner.fingerprint(runner.alone(HERD)) != runner.fingerprint(HERD)

"""Options, order of the runs, and the report of what is there."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bench.storm import command, runner
from bench.storm.catalogue import SCENARIOS
from bench.storm.herd import HERD


def test_which_scenarios_are_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stall by default, families by name, one of each in a hurry, no recording no replay."""
    monkeypatch.setattr(runner, "recording_path", lambda _scenario: None)

    def names(*words: str) -> list[str]:
        return [s.name for s in command.scenarios_of(command.arguments([*words]))]

    assert names() == ["stall"]
    assert len(names("--scenario", "blip")) == 6
    assert len(names("--quick")) == 10
    assert len(names("--all")) == len(SCENARIOS) - 2
    assert "recorded-azure-llm is left out" in capsys.readouterr().out


def test_peers_take_turns() -> None:
    """Another seed, another order; the run without the others takes its turn too."""
    assert command.turns(["a", "b", "c"], 1) == ["a", "b", "c"]
    assert command.turns(["a", "b", "c"], 3) == ["c", "a", "b"]
    assert command.peers_for(HERD, ["direct", "governor"]) == ["alone", "direct", "governor"]
    only = command.peers_for(SCENARIOS["recorded-azure-llm"], ["direct", "governor"])
    assert only == ["governor"]


def test_the_report_is_written_from_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept cells of the present definition are reported, without running anything."""
    monkeypatch.setattr(runner, "FOLDER", tmp_path / "cells")
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr("bench.report.RESULTS", tmp_path)
    (tmp_path / "cells").mkdir()
    line = {name: [1.0, 2.0] for name in ("t_s", "attempts_hz", "goodput_hz", "useful_jobs_hz")}
    line |= {"orphaned_jobs_hz": [0.0, 0.0], "refused_hz": [0.0, 0.0], "p95_s": [0.1, math.inf]}
    for peer, p99_s in (("alone", 0.2), ("direct", math.inf)):
        cell = {
            "scenario": "herd",
            "peer": peer,
            "seed": 1,
            "commit": "abc",
            "fingerprint": runner.fingerprint(HERD),
            "quantities": {"callers_p99_s": p99_s, "herd_over_work": 1.0, "refusals": 0.0},
            "timeline": line,
        }
        runner.Key("herd", peer, 1).path.write_text(json.dumps(cell))
    words = ["--report", "--scenario", "herd", "--peers", "direct", "--seeds", "1", "--name", "t"]
    assert command.main(words) == 0
    text = (tmp_path / "t.md").read_text()
    assert "| direct | 2 / 3 | ∞ of 0.260 ✗ | 1.000 | 0 |" in text
    assert "![herd over time](t-herd.png)" in text
    assert (tmp_path / "t-herd.png").exists()
    assert json.loads((tmp_path / "t.json").read_text())["cells"]["herd"][1]["quantities"] == {
        "callers_p99_s": None,
        "herd_over_work": 1.0,
        "refusals": 0.0,
    }

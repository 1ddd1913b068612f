"""The report keeps its sections in order, survives a broken one and says what was met."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import bench.detect as detect
from bench.detect.base import REPORT_SEEDS, SECTIONS, TUNE_SEEDS, Options, Section, claim


@pytest.fixture(autouse=True)
def keep_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command makes way for other work; the tests that follow must not."""
    monkeypatch.setattr("os.nice", lambda by: by)


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four sections: one that works, one that breaks, one that is absent, one more."""
    named: dict[str, str] = {}
    for name in ("good", "broken", "other"):
        module = ModuleType(f"made_up_{name}")
        module.run = run_good if name != "broken" else run_broken  # type: ignore[attr-defined]
        module.__spec__ = importlib_spec(module.__name__)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        named[name] = module.__name__
    named["absent"] = "bench.detect.no_such_section"
    monkeypatch.setattr(detect, "SECTIONS", named)


def importlib_spec(name: str) -> Any:
    """Return a spec for a module that is made up."""
    from importlib.machinery import ModuleSpec

    return ModuleSpec(name, None)


def run_good(options: Options) -> Section:
    """Return a section with a claim of each kind."""
    claims = [
        claim("a", "≥ 1", "2", True),
        claim("b", "≥ 1", "0", False),
        claim("c", "d", "e", None),
    ]
    return Section("Good", f"seeds {options.report_seeds}", {"claims": claims})


def run_broken(options: Options) -> Section:
    """Break off."""
    raise ValueError("no such thing")


@pytest.mark.usefixtures("sections")
def test_a_broken_section_costs_only_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """The others are reported; the command says that one broke off."""
    assert detect.main(["--no-save"]) == 1
    text = capsys.readouterr().out
    assert "| good | a | ≥ 1 | 2 | yes |" in text
    assert "| good | b | ≥ 1 | 0 | **no** |" in text
    assert "| good | c | d | e | – |" in text
    assert "broke off: ValueError: no such thing" in text
    assert "*Not built.*" in text
    assert text.index("## Good") < text.index("## Broken")


@pytest.mark.usefixtures("sections")
def test_a_part_run_keeps_the_other_sections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was saved before stays, with its own date; what is run now replaces its own."""
    monkeypatch.setattr(detect, "RESULTS", tmp_path)
    monkeypatch.setattr("bench.report.RESULTS", tmp_path)
    assert detect.main(["good", "--seeds", "1"]) == 0
    assert detect.main(["other", "--seeds", "3,5"]) == 0
    saved = json.loads((tmp_path / "detect.json").read_text())["sections"]
    assert list(saved) == ["good", "other"]
    assert saved["good"]["markdown"] == "seeds (1,)"
    assert saved["other"]["markdown"] == "seeds (3, 5)"
    assert "asked" in (tmp_path / "detect.md").read_text()
    assert detect.main(["good", "--quick"]) == 0
    assert json.loads((tmp_path / "detect.json").read_text())["sections"] == saved


def test_an_unknown_section_is_refused() -> None:
    """The command line lists what there is."""
    with pytest.raises(SystemExit):
        detect.main(["weather"])


def test_thresholds_and_reports_share_no_seed() -> None:
    """Chosen on some, reported on others."""
    assert not set(TUNE_SEEDS) & set(REPORT_SEEDS)
    assert Options().seeds == TUNE_SEEDS
    assert Options().report_seeds == REPORT_SEEDS
    assert next(iter(SECTIONS)) == "silence"
    assert list(SECTIONS)[-1] == "cost"

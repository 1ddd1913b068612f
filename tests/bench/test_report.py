"""Tables and where results go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import report


def test_a_table_is_markdown() -> None:
    """Head, rule, rows."""
    assert report.table(["", "a"], [["x", 1]]) == "|  | a |\n|---|---|\n| x | 1 |"


def test_results_say_how_they_were_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both files carry the command, the commit and the machine."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    report.save("x", "x --fast", "text", {"n": 1})
    assert "`python -m bench x --fast`" in (tmp_path / "x.md").read_text()
    saved = json.loads((tmp_path / "x.json").read_text())
    assert saved["n"] == 1
    assert saved["machine"]

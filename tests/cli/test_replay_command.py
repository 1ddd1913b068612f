"""`governor replay` and `governor inspect`: files in, words and pictures out."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from governor.cli import replay_command as command
from governor.errors import ConfigError
from governor.record.store import RecordingError
from tests.record.test_replay import record
from tests.record.traffic import Run, make_config


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short recording."""
    path = tmp_path_factory.mktemp("rec") / "a.rec"
    run = Run(make_config(), seed=3)
    run.play(2.0, 250.0)
    record(run, path)
    return path


def test_a_recording_is_replayed_and_modelled(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same decisions, and a column for another configuration of the same upstreams."""
    other = tmp_path / "other.yaml"
    other.write_text(
        "upstreams:\n"
        "  spare: {endpoints: ['http://127.0.0.1:3'], limit: 1}\n"
        "  tools: {endpoints: ['http://127.0.0.1:1'], limit: 2}\n"
        "routes:\n"
        "  - {match: {path_prefix: /a}, upstream: tools}\n"
        "  - {match: {path_prefix: /b}, upstream: spare}\n"
    )
    assert command.replay_file(file, other, None) == 0
    text = capsys.readouterr().out
    assert "decisions are as recorded" in text
    assert "all " in text
    assert "other.yaml" in text
    other.write_text("upstreams:\n  else: {endpoints: ['http://127.0.0.1:3']}\n")
    with pytest.raises(RecordingError, match="has no upstream tools"):
        command.replay_file(file, other, None)


def test_a_trace_is_modelled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A public format needs no configuration; bad lines are told."""
    path = tmp_path / "t.csv"
    path.write_text("t_s,agent,latency_s\n0,a,1\nx,a,1\n0.5,b,1\n")
    assert command.replay_file(path, None, None) == 0
    text = capsys.readouterr().out
    assert "t.csv: 2 calls (table), 2 at most at once" in text
    assert "t.csv:3: t_s: must be a number" in text


@pytest.mark.parametrize("name", ["empty.csv", "words.log"])
def test_a_trace_without_calls_says_what_to_do(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The format that was tried, and the flag that names another."""
    path = tmp_path / name
    path.write_text("" if name == "empty.csv" else "hello\n")
    assert command.replay_file(path, None, None) == 1
    assert f"Nothing to play in {name}, read as clf" in capsys.readouterr().err


def test_files_that_cannot_be_used_are_named(file: Path, tmp_path: Path) -> None:
    """An unknown format, a .gz that is none or is cut off, a picture without a folder."""
    trace = tmp_path / "t.csv.gz"
    trace.write_text("not compressed")
    with pytest.raises(RecordingError, match=r"t\.csv\.gz cannot be read to its end: Not a gzip"):
        command.replay_file(trace, None, None)
    trace.write_bytes(gzip.compress(b"t_s,agent\n0,a\n" * 50)[:-12])
    with pytest.raises(RecordingError, match=r"t\.csv\.gz cannot be read to its end"):
        command.replay_file(trace, None, "table")
    with pytest.raises(ConfigError, match=r"--format: must be one of azure, .* \(is tabl\)"):
        command.replay_file(trace, None, "tabl")
    with pytest.raises(ConfigError, match="--html: must be a file in a folder that exists"):
        command.inspect_file(file, tmp_path / "no" / "a.html", None)


def test_inspect_says_and_draws(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table always; a page where plotly is; a clear word where what draws is not installed."""
    page = tmp_path / "a.html"
    monkeypatch.setattr(command, "has", lambda module: module == "plotly")
    assert command.inspect_file(file, page, tmp_path / "a.png") == 1
    text = capsys.readouterr().out
    assert "wasted share" in text
    assert "matplotlib is not installed" in text
    html = page.read_text()
    assert "What came and what became of it" in html
    assert "secret.example" not in html
    assert not (tmp_path / "a.png").exists()

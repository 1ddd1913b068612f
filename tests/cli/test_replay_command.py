"""`governor replay` and `governor inspect`: files in, words and pictures out."""

from __future__ import annotations

import gzip
from pathlib import Path
from zlib import crc32

import pytest

from governor.cli import replay_command as command
from governor.errors import ConfigError
from governor.record.store import RecordingError, encode_blocks, encode_header, read
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


def test_a_trace_without_calls_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The format that was tried, and the flag that names another."""
    path = tmp_path / "empty.csv"
    path.write_text("")
    assert command.replay_file(path, None, None) == 1
    assert "Nothing to play in empty.csv, read as clf" in capsys.readouterr().err
    path.write_text("hello\n")
    with pytest.raises(RecordingError, match=r"no trace of a known form: give --format"):
        command.replay_file(path, None, None)


def test_files_that_cannot_be_used_are_named(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown format, a .gz that is cut off, a picture without a folder."""
    trace = tmp_path / "t.csv.gz"
    lines = (b"%d,%x,0.1\n" % (x, crc32(b"%d" % x)) for x in range(99))
    trace.write_bytes(gzip.compress(b"t_s,agent,latency_s\n" + b"".join(lines))[:-50])
    assert command.replay_file(trace, None, None) == 0
    assert "is cut off or damaged from here on" in capsys.readouterr().out
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


def test_a_trace_is_inspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who called when, how many were open at once, and a page of it."""
    path, page = tmp_path / "t.csv", tmp_path / "a.html"
    path.write_text("t_s,agent,latency_s,status\n0,a,1,200\nx,a,1,200\n0.5,b,1,503\n9,a,1,200\n")
    assert command.inspect_file(path, page, None) == 0
    text = capsys.readouterr().out
    for words in ("calls  ", "9.0 s", "2 named", "t.csv:3: t_s", "failed or refused"):
        assert words in text
    assert "open at once, at most" in page.read_text()
    path.write_text("t_s,agent\n")
    assert command.inspect_file(path, page, None) == 1


def test_a_smaller_service_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four calls at once of a second each on one slot wait inside of it, or in the line."""
    path = tmp_path / "t.csv"
    path.write_text("t_s,agent,latency_s\n" + "".join(f"0.{x},{x},1\n" for x in range(4)))
    assert command.replay_file(path, None, None, 1) == 0
    text = capsys.readouterr().out
    assert "4 at most at once" in text
    assert "service time useful" in text


def test_a_damaged_recording_says_so_and_shows_the_rest(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """How much was skipped; what is before is replayed, and nothing is an exception."""
    cut = tmp_path / "cut.rec"
    header, events, *_ = read(file)
    half = len(events) // 2
    blocks = [*encode_blocks(0, events[:half]), *encode_blocks(half, events[half:])]
    cut.write_bytes((encode_header(header["config"], 7, 0, 0, 0) + b"".join(blocks))[:-10])
    assert command.inspect_file(cut, None, None) == 0
    assert "the file is cut off or damaged" in capsys.readouterr().out
    assert command.replay_file(cut, None, None) == 0
    text = capsys.readouterr().out
    assert "bytes were skipped" in text
    assert f"({half:,} records)" in text
    cut.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RecordingError, match="broken header"):
        command.inspect_file(cut, None, None)


def test_upstreams_that_were_not_recorded_keep_their_order(file: Path) -> None:
    """Behind those of the recording, as the file has them: the same what-if every time."""
    config, recorded = make_config({}), read(file)
    known = config.upstreams
    others = dict.fromkeys("hgfedcba", known["tools"])
    wanted = config.model_copy(update={"upstreams": others | known})
    matched = command._match(wanted, recorded)
    assert list(matched.upstreams) == [*recorded.upstreams, *others]

"""Recordings become arrays without losing a call; what is absent is None."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from bench.detect import traces
from bench.detect.traces import ENVIRONMENT, FILES, close_holes, find_folder, load, read, spread

HEAD = "t_s,agent,session,in_size,out_size,latency_s,status"


def write(path: Path, lines: list[str], extra: str = "") -> Path:
    """Write a small recording."""
    with gzip.open(path, "wt") as text:
        text.write("\n".join([HEAD + extra, *lines]) + "\n")
    return path


def test_a_recording_is_read_in_order_of_time(tmp_path: Path) -> None:
    """Rows are sorted, identities numbered from 1, missing latencies estimated."""
    path = write(tmp_path / "x.csv.gz", ["7,b,s,10,100,,503", "5,a,s,11,0,2.5,", "6,b,t,10,50,,"])
    trace = read(path, "x")
    assert trace.t_s.tolist() == [0.0, 1.0, 2.0]
    assert trace.flow.tolist() == [2, 1, 1]
    assert trace.tree.tolist() == [1, 2, 1]
    assert trace.latency_s.tolist() == [2.5, 1.5, 2.5]  # 0.5 s + tokens / 50
    assert trace.status.tolist() == [200, 200, 503]
    assert trace.fingerprint[1] == trace.fingerprint[2] != trace.fingerprint[0]
    assert trace.has_ids


def test_sessions_stand_in_for_callers_and_targets_are_shapes(tmp_path: Path) -> None:
    """Without agents the session is the flow; a target is part of the shape."""
    path = write(tmp_path / "x.csv.gz", ["0,,s,,,0.1,,u1", "1,,s,,,,,u2"], ",target")
    trace = read(path, "x")
    assert trace.flow.tolist() == trace.tree.tolist() == [1, 1]
    assert trace.services == ("", "u1", "u2")
    assert trace.fingerprint[0] != trace.fingerprint[1]
    assert np.isnan(trace.latency_s[1])


def test_no_identity_is_flow_zero(tmp_path: Path) -> None:
    """Nobody is made up."""
    trace = read(write(tmp_path / "x.csv.gz", ["0,,,1,1,,", "9,,,1,1,,"]), "x")
    assert trace.flow.tolist() == [0, 0]
    assert not trace.has_ids
    assert trace.hours == pytest.approx(9 / 3600)


def test_holes_are_closed_and_coarse_stamps_spread(tmp_path: Path) -> None:
    """A hole becomes a mean gap; a stamp's calls stay inside their stamp."""
    lines = [f"{t},a,s,1,1,1," for t in (0, 1, 2, 100, 101)]
    trace = read(write(tmp_path / "x.csv.gz", lines), "x")
    closed = close_holes(trace)
    assert np.diff(closed.t_s).tolist() == pytest.approx([1, 1, 0.75, 1])
    fine = spread(trace, 1.0)
    assert len(fine) == 5
    assert (np.diff(fine.t_s) >= 0.0).all()
    shift_s = fine.t_s - trace.t_s
    assert (np.abs(shift_s) < 1.0).all()
    assert fine.t_s.tolist() == spread(trace, 1.0).t_s.tolist()


def test_the_folder_is_the_option_or_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A named folder that is not there is no folder; absent traces are None."""
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    assert find_folder() == tmp_path
    assert find_folder(tmp_path / "nowhere") is None
    monkeypatch.delenv(ENVIRONMENT)
    monkeypatch.setattr(traces, "DEFAULT_FOLDER", tmp_path / "nowhere")
    assert find_folder() is None
    assert load(None, "azure") is None
    assert load(tmp_path, "azure") is None


def test_every_variant_has_a_file() -> None:
    """Names used elsewhere exist."""
    assert {file for file, _ in traces.LOADERS.values()} == set(FILES)
    assert {*traces.ORGANIC, *traces.COARSE} <= set(traces.LOADERS)

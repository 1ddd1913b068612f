"""Reading traces by header name."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bench.children import BenchError
from bench.replay_rows import read_rows


def written(path: Path, text: str) -> Path:
    """Write a gzip file."""
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_rows_are_read_by_name_and_sorted(tmp_path: Path) -> None:
    """Columns may stand in any order, rows too."""
    path = written(tmp_path / "a.csv.gz", "latency_s,t_s,agent,session\n2,5,b,s\n1,0,a,s\n")
    rows = read_rows(path)
    assert [(r.t_s, r.agent, r.session, r.latency_s) for r in rows] == [
        (0.0, "a", "s", 1.0),
        (5.0, "b", "s", 2.0),
    ]


def test_latency_is_estimated_where_it_is_not_recorded(tmp_path: Path) -> None:
    """From the size of the reply, else one second."""
    path = written(tmp_path / "b.csv.gz", "t_s,agent,session,out_size,latency_s\n0,,,100,\n1,,,,\n")
    assert [row.latency_s for row in read_rows(path)] == [2.5, 1.0]


def test_another_clock_may_be_chosen(tmp_path: Path) -> None:
    """The time column is an option; a wrong one is refused with the names there are."""
    path = written(tmp_path / "c.csv.gz", "t_s,t_dequant_s\n3,3.5\n")
    assert read_rows(path, "t_dequant_s")[0].t_s == 3.5
    with pytest.raises(BenchError, match="t_dequant_s"):
        read_rows(path, "when")


def test_the_number_of_rows_is_bounded(tmp_path: Path) -> None:
    """``limit`` reads no further."""
    path = written(tmp_path / "d.csv.gz", "t_s\n" + "1\n" * 50)
    assert len(read_rows(path, limit=7)) == 7


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message says which."""
    with pytest.raises(BenchError, match=r"none\.csv\.gz"):
        read_rows(tmp_path / "none.csv.gz")

"""The control group of a measurement, on folders that stand for the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import quota
from bench.children import BenchError


def _group(root: Path) -> Path:
    (group,) = root.glob("**/governor-bench-*")
    return group


@pytest.mark.parametrize(
    ("marker", "file", "told"),
    [("cgroup.controllers", "cpu.max", "8000 10000"), ("cpu/tasks", "cpu.cfs_quota_us", "8000")],
)
def test_a_quota_is_told_in_the_words_of_either_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marker: str, file: str, told: str
) -> None:
    """Eight tenths of a core; who was in the group is put back."""
    monkeypatch.setattr(quota, "ROOT", tmp_path)
    monkeypatch.setattr(quota, "LEAVE_S", 0.0)
    (tmp_path / marker).parent.mkdir(exist_ok=True)
    (tmp_path / marker).touch()
    with quota.cpu_quota(0.8, [4711]):
        group = _group(tmp_path)
        assert (group / file).read_text() == told
        assert (group / "cgroup.procs").read_text() == "4711"
    assert (group.parent / "cgroup.procs").read_text() == "4711"


def test_who_may_not_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No groups on this machine, or no right to make one."""
    monkeypatch.setattr(quota, "ROOT", tmp_path / "nowhere")
    with pytest.raises(BenchError, match="needs root and cgroups"), quota.cpu_quota(0.8, []):
        pass


def test_an_error_of_the_measurement_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for one of the kernel's."""
    monkeypatch.setattr(quota, "ROOT", tmp_path)
    monkeypatch.setattr(quota, "LEAVE_S", 0.0)
    (tmp_path / "cpu").mkdir()
    with pytest.raises(ConnectionResetError), quota.cpu_quota(0.8, [4711]):
        raise ConnectionResetError

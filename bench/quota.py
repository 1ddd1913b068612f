"""A bounded share of the machine for a group of processes, kept by the kernel.

*Rule of this file*: control groups, version 1 or 2, as far as a measurement needs them: a quota of
processor time, and who is in the group.

*Regime*: needs to be root, and a kernel with CFS bandwidth control; says so where it is not.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.children import BenchError

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 10_000
"""Short, so that whoever has used its share waits for milliseconds."""

LEAVE_S = 2.0
"""A group is removed within so long of its last process's end."""


@contextlib.contextmanager
def cpu_quota(cores: float, pids: Iterable[int]) -> Iterator[None]:
    """Let these processes together use so many cores' time, and no more, within the block.

    Raises
    ------
    BenchError
        Where the kernel or the user's rights do not allow it.
    """
    is_unified = (ROOT / "cgroup.controllers").exists()
    folder = (ROOT if is_unified else ROOT / "cpu") / f"governor-bench-{os.getpid()}"
    quota_us = round(cores * PERIOD_US)
    try:
        if is_unified:
            (ROOT / "cgroup.subtree_control").write_text("+cpu")
        folder.mkdir()
    except OSError as error:
        raise BenchError(f"a quota of processor time needs root and cgroups: {error}") from error
    try:
        try:
            _bound(folder, is_unified, quota_us, pids)
        except OSError as error:
            raise BenchError(f"no quota of processor time: {error}") from error
        yield
    finally:
        _leave(folder)


def _bound(folder: Path, is_unified: bool, quota_us: int, pids: Iterable[int]) -> None:
    """Write the quota of a group, and put the processes into it."""
    if is_unified:
        (folder / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
    else:
        (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (folder / "cpu.cfs_quota_us").write_text(str(quota_us))
    for pid in pids:
        (folder / "cgroup.procs").write_text(str(pid))


def _leave(folder: Path) -> None:
    """Put whoever is left in the group back, and remove it."""
    for pid in (folder / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            (folder.parent / "cgroup.procs").write_text(pid)
    deadline_s = time.monotonic() + LEAVE_S
    while folder.exists() and time.monotonic() < deadline_s:
        with contextlib.suppress(OSError):
            folder.rmdir()
        time.sleep(0.01)

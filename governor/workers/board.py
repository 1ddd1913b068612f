"""The memory that the processes of one Governor share, and who may write which of it.

*Rule of this file*: places and their one writer each; nothing is computed.

- the keeper writes its own words, each worker's credits and the rings towards workers;
- a worker writes what it has open, its counters and its ring towards the keeper;
- the supervisor writes which processes live.

A row belongs to a place among the workers, not to a process: who replaces a dead worker goes on
in its row, with the next *epoch*.

*Cost*: 1.6 MB a worker, taken as its rings are used.
*Considered and rejected*: ``multiprocessing.shared_memory`` (a name in the file system that a
killed process leaves behind); all processes come from one, so memory without a name will do.
"""

from __future__ import annotations

import mmap
from enum import IntEnum

from governor.workers import ring
from governor.workers.bell import Bell
from governor.workers.records import DOWN_BYTES, UP_BYTES

N_SLOTS = 4_096
"""Records in a ring: 80 ms of the busiest worker, far beyond a keeper's longest pause."""

ROW_WORDS = 16
_WORD = 8
_PAGE = 4_096


class Life(IntEnum):
    """What is known of a process."""

    NONE = 0
    STARTING = 1
    """Forked; it does not serve yet."""
    SERVING = 2
    STOPPED = 3
    """It has finished what it had and said so."""
    DEAD = 4
    """It ended without a word."""


class KeeperWord(IntEnum):
    """The keeper's words."""

    LIFE = 0
    EPOCH = 1
    """How many keepers there have been."""
    BEAT_NS = 2
    """When it last turned."""
    IS_DRAINING = 3
    """Written by the supervisor."""
    CONTROL_PORT = 4
    """Where the control plane listens; the next keeper takes the same."""


class WorkerWord(IntEnum):
    """A worker's words."""

    LIFE = 0
    """Of the two who write it, the supervisor speaks when the worker no longer can."""
    EPOCH = 1
    """Written by the supervisor before it forks."""
    PID = 2
    N_UNASKED = 3
    """Calls let through because the keeper could not be asked in time."""


class Board:
    """All shared memory, and the bells; made before the first fork.

    Parameters
    ----------
    n_workers : int
    n_places : int
        Endpoints over all upstreams, in the order of the configuration.
    n_upstreams : int
    page_bytes : int
        For each worker's counters, twice.
    """

    def __init__(
        self, n_workers: int, n_places: int, n_upstreams: int = 1, page_bytes: int = 65_536
    ) -> None:
        self.n_workers = n_workers
        self.n_places = n_places
        up_bytes = _round(ring.size_bytes(N_SLOTS, UP_BYTES))
        down_bytes = _round(ring.size_bytes(N_SLOTS, DOWN_BYTES))
        of_places = _round(n_places * _WORD)
        sizes = {
            "words": _round(ROW_WORDS * _WORD * (1 + n_workers)),
            "flags": _round(n_upstreams * _WORD),
            "credits": n_workers * of_places,
            "shares": of_places,
            "limits": of_places,
            "opens": n_workers * of_places,
            "pages": n_workers * 2 * _round(page_bytes),
            "up": n_workers * up_bytes,
            "down": n_workers * down_bytes,
        }
        self._mmap = mmap.mmap(-1, sum(sizes.values()))
        self._memory = memoryview(self._mmap)
        at = 0
        parts: dict[str, memoryview] = {}
        for name, size in sizes.items():
            parts[name] = self._memory[at : at + size]
            at += size
        words = parts["words"].cast("q")
        self.keeper = words[:ROW_WORDS]
        self.workers = [words[ROW_WORDS * (k + 1) : ROW_WORDS * (k + 2)] for k in range(n_workers)]
        self.refusals = parts["flags"].cast("q")
        """By upstream: whether its refusals come as a storm. Written by the keeper."""
        self.shares = parts["shares"].cast("q")
        """By place: what a worker may hold in flight while there is no keeper."""
        self.limits = parts["limits"].cast("q")
        """By place: the limit, for the next keeper to begin with."""
        rows = range(n_workers)
        self.credits = [_cut(parts["credits"], k, of_places).cast("q")[:n_places] for k in rows]
        """By worker and place: how many calls it may hold in flight without asking."""
        self.opens = [_cut(parts["opens"], k, of_places).cast("q")[:n_places] for k in rows]
        """By worker and place: how many it holds."""
        self.pages = [_cut(parts["pages"], k, 2 * _round(page_bytes)) for k in rows]
        self.up = [
            _cut(parts["up"], k, up_bytes)[: ring.size_bytes(N_SLOTS, UP_BYTES)] for k in rows
        ]
        self.down = [
            _cut(parts["down"], k, down_bytes)[: ring.size_bytes(N_SLOTS, DOWN_BYTES)] for k in rows
        ]
        self.keeper_bell = Bell()
        self.worker_bells = [Bell() for _ in rows]

    def close(self) -> None:
        """Let the bells go, in this process; the memory goes with the last one that has it."""
        for bell in (self.keeper_bell, *self.worker_bells):
            bell.close()


def _round(n_bytes: int) -> int:
    """Return a size in whole pages, so that no two writers share one."""
    return -(-n_bytes // _PAGE) * _PAGE


def _cut(memory: memoryview, idx: int, size: int) -> memoryview:
    return memory[idx * size : (idx + 1) * size]

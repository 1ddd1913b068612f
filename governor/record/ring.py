"""The last records, in memory that is taken once.

*Rule of this file*: one writer, and readers in the same thread. Numbers count records
since the start; a reader says from which number on, and gets what is still there.

*Cost*: 104 bytes a record; pages are touched only as records come.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from governor.record.events import EVENT_BYTES, make_events

Events = np.ndarray[Any, Any]

N_MIN = 64
"""A ring smaller than this keeps nothing worth having."""


class Ring:
    """Records by number, the oldest making room.

    Parameters
    ----------
    n_records : int
        Kept at most; at least ``N_MIN``.

    Attributes
    ----------
    memory : memoryview
        The bytes of all places: the writer packs into it at :attr:`offset`.
    offset : int
        Where the next record goes.
    last : int
        The last place: from there the writer goes on at :meth:`turn`.
    n_laps : int
        How often the writer has begun anew at the first place.
    """

    __slots__ = ("_events", "last", "memory", "n_laps", "offset")

    def __init__(self, n_records: int) -> None:
        if n_records < N_MIN:
            raise ValueError(f"n_records is {n_records}: must be at least {N_MIN}")
        self._events = make_events(n_records)
        self.memory = memoryview(self._events.view(np.uint8).data)
        self.last = (n_records - 1) * EVENT_BYTES
        self.offset = 0
        self.n_laps = 0

    @property
    def capacity(self) -> int:
        """Records that fit."""
        return len(self._events)

    @property
    def n_written(self) -> int:
        """Records so far; the next one's number."""
        return self.n_laps * len(self._events) + self.offset // EVENT_BYTES

    def step(self) -> None:
        """Go on to the next place: the one at ``offset`` has been written."""
        offset = self.offset
        self.offset = offset + EVENT_BYTES if offset < self.last else self.turn()

    def turn(self) -> int:
        """Count a lap; return the first place."""
        self.n_laps += 1
        return 0

    @property
    def first(self) -> int:
        """Number of the oldest record that is still there."""
        return max(0, self.n_written - len(self._events))

    def since(self, number: int) -> tuple[int, Events]:
        """Return the records from ``number`` on, copied, and the first one's number."""
        start = min(max(number, self.first), self.n_written)
        size = len(self._events)
        begin, count = start % size, self.n_written - start
        stop = begin + count
        if stop <= size:
            return start, self._events[begin:stop].copy()
        parts = (self._events[begin:], self._events[: stop - size])
        return start, np.concatenate(parts)

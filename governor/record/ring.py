"""The last records, in memory that is taken once.

*Rule of this file*: one writer, and readers in the same thread. Numbers count records
since the start; a reader says from which number on, and gets what is still there.

*Theory*: the checksum of a request's id is looked for by people, never by a decision. So ids are
kept as they came until the next tick, or until somebody reads, and summed then, all together:
sixteen bytes looked up in a table of a kilobyte cost little in a row, and a microsecond alone,
where the request's own path has pushed the table out of the nearest cache.

*Cost*: 104 bytes a record; pages are touched only as records come. What tells where the next one
goes is in memory that compiled code reads and writes too (:mod:`signals.tape`).
"""

from __future__ import annotations

from itertools import repeat
from typing import Any, Final
from zlib import crc32

import numpy as np

from governor.record.events import EVENT_BYTES, make_events
from signals.tape import ARRIVED, HEAD_DTYPE, LAST_NUMBER, get_tape, make_tape_root

Events = np.ndarray[Any, Any]
Sums = np.ndarray[Any, np.dtype[np.uint32]]

_PLACE: Final = 0
_N_LAPS: Final = 1
_NUMBER: Final = 2
_ARRIVED: Final = 3
assert HEAD_DTYPE.names == ("place", "n_laps", "number", "arrived")

N_MIN: Final = 64
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
    ids : list
        Of the requests that have arrived since the checksums were last written, one for each
        record of an arrival; None of those that have none.
    salt : int
        Start of the checksums; 32 bits.
    n_faults : int
        Records, or checksums in them, that could not be written.
    """

    __slots__ = ("_events", "_head", "_n_summed", "_places", "ids", "memory", "n_faults", "salt")

    def __init__(self, n_records: int) -> None:
        if n_records < N_MIN:
            raise ValueError(f"n_records is {n_records}: must be at least {N_MIN}")
        self._events = make_events(n_records)
        self.memory = memoryview(self._events.view(np.uint8).data)
        self._head = np.zeros(1, HEAD_DTYPE)
        self._places = memoryview(self._head.view(np.int64).data)
        self.ids: list[bytes | None] = []
        self.salt = 0
        self.n_faults = 0
        self._n_summed = 0

    def make_tape(self, upstream: int) -> tuple[Any, Any]:
        """Return how the signals of an upstream write here, and what must live as long."""
        root = make_tape_root(self._head, self._events, upstream)
        return get_tape(root, self._head, self._events, upstream), root

    @property
    def capacity(self) -> int:
        """Records that fit."""
        return len(self._events)

    @property
    def offset(self) -> int:
        """Where the next record goes."""
        return self._places[_PLACE] * EVENT_BYTES

    @property
    def arrival_offset(self) -> int:
        """Where the latest arrival's record is."""
        return self._places[_ARRIVED] * EVENT_BYTES

    @property
    def n_laps(self) -> int:
        """How often the writer has begun anew at the first place."""
        return self._places[_N_LAPS]

    @property
    def n_written(self) -> int:
        """Records so far; the next one's number."""
        return self.n_laps * len(self._events) + self._places[_PLACE]

    @property
    def number(self) -> int:
        """The latest lease's."""
        return self._places[_NUMBER]

    def take_number(self) -> int:
        """Return the next lease's number."""
        places = self._places
        number = places[_NUMBER] = places[_NUMBER] + 1 if places[_NUMBER] < LAST_NUMBER else 1
        return number

    def begin_arrival(self) -> None:
        """Remember the place of the record that is about to be written as the latest arrival's."""
        self._places[_ARRIVED] = self._places[_PLACE]

    def step(self) -> None:
        """Go on to the next place: the one at ``offset`` has been written."""
        places = self._places
        place = places[_PLACE] + 1
        if place == len(self._events):
            place = 0
            places[_N_LAPS] += 1
        places[_PLACE] = place

    def write_checksums(self) -> None:
        """Put those of the ids that have gathered into their records, as far as these are there."""
        ids, n_written, size = self.ids, self.n_written, len(self._events)
        if ids:
            start = max(self._n_summed, self.first)
            begin, count = start % size, n_written - start
            kinds = self._events["kind"]
            arrivals = np.flatnonzero(kinds[begin : begin + count] == ARRIVED) + begin
            if begin + count > size:
                begun_anew = np.flatnonzero(kinds[: begin + count - size] == ARRIVED)
                arrivals = np.concatenate((arrivals, begun_anew))
            n = min(len(ids), len(arrivals))  # fewer records than ids where the ring has gone round
            self._events["request"][arrivals[len(arrivals) - n :]] = self._sum(ids[len(ids) - n :])
            ids.clear()
        self._n_summed = n_written

    def _sum(self, ids: list[Any]) -> Sums:
        try:
            return np.fromiter(map(crc32, ids, repeat(self.salt)), np.uint32, len(ids))
        except Exception:  # some have none, or one that is no bytes
            return np.array([self._checksum(x) for x in ids], np.uint32)

    def _checksum(self, request_id: bytes | None) -> int:
        try:
            return crc32(request_id, self.salt) if request_id is not None else 0
        except Exception:
            self.n_faults += 1
            return 0

    @property
    def first(self) -> int:
        """Number of the oldest record that is still there."""
        return max(0, self.n_written - len(self._events))

    def since(self, number: int) -> tuple[int, Events]:
        """Return the records from ``number`` on, copied, and the first one's number."""
        self.write_checksums()
        start = min(max(number, self.first), self.n_written)
        size = len(self._events)
        begin, count = start % size, self.n_written - start
        stop = begin + count
        if stop <= size:
            return start, self._events[begin:stop].copy()
        parts = (self._events[begin:], self._events[: stop - size])
        return start, np.concatenate(parts)

"""Records as plain numbers, in their order: what goes through them one by one reads them here.

*Rule of this file*: from columns to numbers and arrivals; what they mean is its callers'.

*Theory*: a record is one row of an array, and Python wants numbers, 25 ns each. So whoever plays a
record gets few: when, who, and what, which are eight bytes of the row as one number (kind,
upstream, action, reason, status and endpoint: of an arrival let through untouched the kind alone).
A field of the arrivals that is the same in all of a chunk, as most are, is that number again.

*Cost*: 0.24 us a record, 0.25 us more to make an arrival, compiled; ``tolist`` of the structured
array is 2.1 us a record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from governor.core.arrival import Arrival
from governor.record.events import EVENT_DTYPE, KIND_AT, KINDS_WITH_TAIL, TAIL_FIELDS
from governor.record.ring import Events

CHUNK_RECORDS: Final = 1 << 10
"""Read at a time: rows and numbers stay in a core's own cache beside what a gate reads."""

KIND_MASK: Final = 0xFF
"""Of what a record says: its kind."""

SAID_MASK: Final = 0xFFFF_FFFF_00FF
"""Of what a record says: all but upstream and endpoint."""

Head = tuple[int, int, int, int, int, int, int, int, int, int]
"""t_ns, number, request, delay_ns, kind, upstream, action, reason, status, endpoint."""

_WHAT: Final = np.dtype(
    {"names": ["what"], "formats": ["<i8"], "offsets": [KIND_AT], "itemsize": EVENT_DTYPE.itemsize}
)
_WHOLE: Final = np.dtype((np.void, EVENT_DTYPE.itemsize))
_HAS_TAIL: Final = np.isin(np.arange(256), KINDS_WITH_TAIL)
_WORD_BYTES: Final = 4
_N_WORDS: Final = EVENT_DTYPE.itemsize // _WORD_BYTES


def _words_of(name: str) -> tuple[int, int]:
    fields: Any = EVENT_DTYPE.fields
    dtype, offset = fields[name][:2]
    return offset // _WORD_BYTES, (offset + dtype.itemsize - 1) // _WORD_BYTES + 1


_WORDS: Final = {name: _words_of(name) for name in TAIL_FIELDS}
"""The words of a row in which a field is: from, to."""


class Chunk:
    """Some records, by column.

    Attributes
    ----------
    n : int
        How many.
    t_ns, number, delay_ns : list of int
        Of their heads.
    what : list of int
        The rest of them but ``request``; see :func:`upstream_of` and those beside it.
    """

    def __init__(self, rows: Events) -> None:
        self._rows = rows
        self._request: list[int] = []
        self.n: int = len(rows)
        self.t_ns: list[int] = rows["t_ns"].tolist()
        self.number: list[int] = rows["number"].tolist()
        delay_ns = rows["delay_ns"]
        self.delay_ns: list[int] = delay_ns.tolist() if delay_ns.any() else [0] * len(rows)
        self.what: list[int] = rows.view(_WHAT)["what"].tolist()
        # as bytes: numpy takes five times as long to pick rows field by field
        whole = rows.view(_WHOLE)[_HAS_TAIL[rows["kind"]]]
        words = whole.view(np.uint32).reshape(len(whole), _N_WORDS)
        is_same: list[bool] = (words == words[:1]).all(axis=0).tolist()
        tails = whole.view(EVENT_DTYPE)
        self._tail: int = 0
        self._tenant: list[int] = _numbers(tails, is_same, "tenant")
        self._flow: list[int] = _numbers(tails, is_same, "flow")
        self._tree: list[int] = _numbers(tails, is_same, "tree")
        self._fingerprint: list[int] = _numbers(tails, is_same, "fingerprint")
        self._attempt: list[int] = _numbers(tails, is_same, "attempt")
        self._urgency: list[int] = _numbers(tails, is_same, "urgency")
        self._patience_ns: list[int] = _numbers(tails, is_same, "patience_ns")
        self._is_identified: list[bool] = _numbers(tails, is_same, "is_identified")
        self._is_exempt: list[bool] = _numbers(tails, is_same, "is_exempt")
        self._can_retry: list[bool] = _numbers(tails, is_same, "can_retry")
        self._family: list[int] = _numbers(tails, is_same, "family")
        self._parent_flow: list[int] = _numbers(tails, is_same, "parent_flow")
        self._is_deadline: list[bool] = _numbers(tails, is_same, "is_deadline")
        self._kind: list[int] = _numbers(tails, is_same, "call_kind")
        self._affinity: list[int] = _numbers(tails, is_same, "affinity")
        self._switches: list[int] = _numbers(tails, is_same, "switches")
        self._max_wait_ns: list[int] = _numbers(tails, is_same, "max_wait_ns")
        self._source: list[int] = _numbers(tails, is_same, "source")

    def head(self, idx: int) -> Head:
        """Return the head of a record, whole."""
        if not self._request:  # few read heads whole
            self._request = self._rows["request"].tolist()
        what = self.what[idx]
        return (
            self.t_ns[idx],
            self.number[idx],
            self._request[idx],
            self.delay_ns[idx],
            what & KIND_MASK,
            upstream_of(what),
            action_of(what),
            reason_of(what),
            status_of(what),
            endpoint_of(what),
        )

    def next_arrival(self) -> Arrival:
        """Return the arrival of the next record that has one (``KINDS_WITH_TAIL``)."""
        idx = self._tail
        self._tail = idx + 1
        return Arrival(
            self._tenant[idx],
            self._flow[idx],
            self._tree[idx],
            self._fingerprint[idx],
            self._attempt[idx],
            self._urgency[idx],
            self._patience_ns[idx],
            self._is_identified[idx],
            self._is_exempt[idx],
            self._can_retry[idx],
            self._family[idx],
            self._parent_flow[idx],
            self._is_deadline[idx],
            self._kind[idx],
            self._affinity[idx],
            self._switches[idx],
            self._max_wait_ns[idx],
            self._source[idx],
        )


def upstream_of(what: int) -> int:
    """Return a record's upstream."""
    return what >> 8 & 0xFF


def action_of(what: int) -> int:
    """Return its action."""
    return what >> 16 & 0xFF


def reason_of(what: int) -> int:
    """Return its reason, an index."""
    return what >> 24 & 0xFF


def status_of(what: int) -> int:
    """Return its status, which has a sign."""
    return (what >> 32 & 0xFFFF ^ 0x8000) - 0x8000


def endpoint_of(what: int) -> int:
    """Return its endpoint, which has a sign."""
    return what >> 48


def in_chunks(events: Events) -> Iterator[Chunk]:
    """Yield all records, not all at once."""
    for start in range(0, len(events), CHUNK_RECORDS):
        yield Chunk(events[start : start + CHUNK_RECORDS])


def _numbers(tails: Events, is_same: list[bool], name: str) -> list[Any]:
    """Return a field's numbers, one for each row; ``is_same`` says so of each word of a row."""
    column = tails[name]
    first, stop = _WORDS[name]
    if len(column) and all(is_same[first:stop]):
        return [column[0].item()] * len(column)
    return column.tolist()  # type: ignore[no-any-return]

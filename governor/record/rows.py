"""Records as plain numbers, in their order: what goes through them one by one reads them here.

*Rule of this file*: from columns to tuples and arrivals; what they mean is its callers'.

*Theory*: a record is one row of an array, and Python wants numbers. The head of every
record is gathered by column and unpacked by ``struct``, a chunk at a time. The arrivals, of the
kinds that have one, are made of their columns as they are asked for; a column that holds one
number only, as most of an arrival's do, is no list but that number again and again.

*Cost*: 0.3 us a record and 0.9 us an arrival; ``tolist`` of the structured array is
three times that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from struct import Struct
from typing import Any, Final, NamedTuple

import numpy as np

from governor.core.arrival import Arrival
from governor.record.events import EVENT_DTYPE, KINDS_WITH_TAIL
from governor.record.ring import Events

CHUNK_RECORDS: Final = 1 << 15
"""Read at a time: some megabytes, however long a recording is."""

Head = tuple[int, int, int, int, int, int, int, int, int, int]
"""t_ns, number, request, delay_ns, kind, upstream, action, reason, status, endpoint."""

_HEAD_NAMES: Final = tuple(EVENT_DTYPE.names or ())[:10]
_HEAD: Final = np.dtype([(name, EVENT_DTYPE[name]) for name in _HEAD_NAMES])
_heads = Struct("<qIIqBBBBhh")

_ARRIVAL_NAMES: Final = (
    *("tenant", "flow", "tree", "fingerprint", "attempt", "urgency", "patience_ns"),
    *("is_identified", "is_exempt", "can_retry", "family", "parent_flow", "is_deadline"),
    *("call_kind", "affinity", "switches", "max_wait_ns", "source"),
)
"""In the order in which an arrival takes them."""

assert _heads.size == _HEAD.itemsize


class Chunk(NamedTuple):
    """Some records: all heads, and an arrival for each of the kinds in ``KINDS_WITH_TAIL``."""

    heads: Iterator[Head]
    arrivals: Iterator[Arrival]


def in_chunks(events: Events) -> Iterator[Chunk]:
    """Yield all records, not all at once."""
    for start in range(0, len(events), CHUNK_RECORDS):
        rows = events[start : start + CHUNK_RECORDS]
        tails = rows[np.isin(rows["kind"], KINDS_WITH_TAIL)]
        arrivals = map(Arrival, *[_numbers(tails[name]) for name in _ARRIVAL_NAMES])
        yield Chunk(_heads.iter_unpack(_gather_heads(rows)), arrivals)


def _gather_heads(rows: Events) -> bytes:
    heads = np.empty(len(rows), _HEAD)
    for name in _HEAD_NAMES:
        heads[name] = rows[name]
    return heads.tobytes()


def _numbers(column: Events) -> Iterable[Any]:
    """Return a column's numbers, one for each row."""
    if len(column) and (column == column[0]).all():
        return repeat(column[0].item(), len(column))
    return column.tolist()  # type: ignore[no-any-return]

"""Records as plain numbers, in their order: what goes through them one by one reads them here.

*Rule of this file*: from columns to tuples and arrivals; what they mean is its callers'.

*Theory*: a record is one row of an array, and Python wants numbers. The head of every
record and, of the kinds that have one, the arrival in the order in which
:class:`~governor.core.arrival.Arrival` takes it are gathered by column and unpacked by
``struct``, a chunk at a time.

*Cost*: 0.4 us a record and 0.5 us an arrival's shape; ``tolist`` of the structured array is
three times that.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Any, NamedTuple

import numpy as np

from governor.record.events import EVENT_DTYPE, KINDS_WITH_TAIL
from governor.record.ring import Events

CHUNK_RECORDS = 1 << 15
"""Read at a time: some megabytes, however long a recording is."""

Head = tuple[int, int, int, int, int, int, int, int, int, int]
"""t_ns, number, request, delay_ns, kind, upstream, action, reason, status, endpoint."""

Shape = tuple[Any, ...]
"""The arguments of an arrival, in order; see the places below."""

_HEAD_NAMES = tuple(EVENT_DTYPE.names or ())[:10]
_HEAD = np.dtype([(name, EVENT_DTYPE[name]) for name in _HEAD_NAMES])
_heads = Struct("<qIIqBBBBhh")

_SHAPE_NAMES = (
    *("tenant", "flow", "tree", "fingerprint", "attempt", "urgency", "patience_ns"),
    *("is_identified", "is_exempt", "can_retry", "family", "parent_flow", "is_deadline"),
    *("call_kind", "affinity", "switches", "max_wait_ns", "source"),
)
_SHAPE = np.dtype([(name, EVENT_DTYPE[name]) for name in _SHAPE_NAMES])
_shapes = Struct("<iiiqiBq???Bi?Bqiqq")

TENANT, FLOW = _SHAPE_NAMES.index("tenant"), _SHAPE_NAMES.index("flow")
FINGERPRINT, AFFINITY = _SHAPE_NAMES.index("fingerprint"), _SHAPE_NAMES.index("affinity")
PATIENCE = _SHAPE_NAMES.index("patience_ns")

assert _heads.size == _HEAD.itemsize
assert _shapes.size == _SHAPE.itemsize


class Chunk(NamedTuple):
    """Some records: all heads, and shapes for those kinds that have one (``KINDS_WITH_TAIL``)."""

    heads: Iterator[Head]
    shapes: Iterator[Shape]


def in_chunks(events: Events) -> Iterator[Chunk]:
    """Yield all records, not all at once."""
    for start in range(0, len(events), CHUNK_RECORDS):
        rows = events[start : start + CHUNK_RECORDS]
        tails = rows[np.isin(rows["kind"], KINDS_WITH_TAIL)]
        heads = _gather(rows, _HEAD)
        yield Chunk(_heads.iter_unpack(heads), _shapes.iter_unpack(_gather(tails, _SHAPE)))


def _gather(rows: Events, dtype: np.dtype[np.void]) -> bytes:
    chosen = np.empty(len(rows), dtype)
    for name in dtype.names or ():
        chosen[name] = rows[name]
    return chosen.tobytes()

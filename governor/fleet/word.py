"""The leader's word: what its limits have found, for those who follow it.

*Rule of this file*: bytes and their meaning. One entry per endpoint, in the order of the
configuration, which is the same for all (its digest is part of the key).
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, error
from typing import NamedTuple

from policies.limit.phases import Kind

_ENTRY = Struct(">BidIBI")


class Found(NamedTuple):
    """One endpoint's limit."""

    has_knee: bool
    limit: int
    """As it stands in this phase, swing included."""
    level: float
    """Around which it swings."""
    tag: int = 0
    """Count of its phases, this one included."""
    kind: Kind = Kind.STEADY
    """What this phase is for."""
    ceiling: int = 0
    """What refusals have taught: calls in flight at most; 0 if nothing."""


def pack_word(found: Sequence[Found]) -> bytes:
    """Return the bytes."""
    return b"".join(
        _ENTRY.pack(x.has_knee, x.limit, x.level, x.tag & 0xFFFFFFFF, x.kind, x.ceiling)
        for x in found
    )


def unpack_word(word: bytes, n_endpoints: int) -> list[Found]:
    """Return the entries; none where the bytes are not what they should be."""
    if len(word) != n_endpoints * _ENTRY.size:
        return []
    try:
        found = [
            Found(bool(knee), limit, level, tag, Kind(kind), ceiling)
            for knee, limit, level, tag, kind, ceiling in _ENTRY.iter_unpack(word)
        ]
    except (error, ValueError):
        return []
    return found if all(x.limit >= 1 and 1.0 <= x.level < 1e9 for x in found) else []

"""The same endpoint for the same key, whichever others come and go.

*Theory*: rendezvous hashing. Every endpoint gets a score from the key and its own
number; the highest wins. When an endpoint goes, only its keys move, evenly to
all others; when it returns, just those move back.

*Source*: D. Thaler, C. V. Ravishankar, "Using Name-Based Mappings to Increase Hit
Rates", IEEE/ACM Trans. Networking 6 (1998). Mixing: the finaliser of splitmix64
(Steele, Lea, Flood, OOPSLA 2014).

*Considered and rejected*: a ring with virtual nodes (Ketama): memory and uneven
arcs, for a search that is only faster above some dozens of endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_MASK: Final = 0xFFFFFFFFFFFFFFFF
_STEP: Final = 0x9E3779B97F4A7C15


def score(key: int, idx: int) -> int:
    """Return how well an endpoint suits a key: 64 bits, evenly spread."""
    x = (key + (idx + 1) * _STEP) & _MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)


def home(key: int, idxs: Iterable[int]) -> int:
    """Return the index where a key belongs, of at least one.

    Examples
    --------
    >>> home(7, [0, 1, 2]) == home(7, [2, 1, 0])
    True
    """
    return max(idxs, key=lambda idx: score(key, idx))

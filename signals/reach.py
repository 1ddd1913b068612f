"""How many distinct flows, tenants and trees passed a service in the last minute.

*Rule of this file*: counting distinct small integers over a sliding window.

*Theory*: linear counting. Each identity falls into one of m = 4,096 cells by a
hash; with z cells empty, n is about

    n = -m ln(z / m),   relative error sqrt(m (e^a - a - 1)) / n,  a = n / m

1.3 % at 4,096 identities, 2.1 % at 12,288. A cell keeps the *second* of its
latest visit in place of a bit, so the window slides exactly and nothing is ever
cleared. Above about 25,000 (fewer than ten cells empty) it says only 'at least'.

*Cost*: 3 writes a call; O(4,096) x 3 a second, for the one service named.
48 KB a service.
*Source*: Whang, Vander-Zanden & Taylor, "A linear-time probabilistic counting
algorithm", TODS 15(2) 1990. Ours: stamps in place of bits.
*Considered and rejected*: HyperLogLog (worse below 10,000, and does not slide);
bit maps a second (12 times the memory).
"""

from __future__ import annotations

import math

import numpy as np

from signals.kernel import part
from signals.state import Records

N_CELLS = 4_096
"""A power of two; enough for 25,000 identities."""

REACH_S = 60
"""The window: the same last minute that own times are compared over."""

_MASK = N_CELLS - 1
_WORD = 0xFFFFFFFF


@part
def find_cell(identity: int) -> int:
    """Return an identity's cell: bits mixed so that neighbours fall independently."""
    h = np.int64(identity) & _WORD
    h = ((h ^ (h >> 16)) * 0x45D9F3B) & _WORD
    h = ((h ^ (h >> 16)) * 0x45D9F3B) & _WORD
    return int((h ^ (h >> 16)) & _MASK)


@part
def visit(cells: Records, identity: int, second: int) -> None:
    """Note that an identity passed; 0 is nobody in particular."""
    if identity > 0:
        cells[find_cell(identity)] = second


@part
def count_visitors(cells: Records, second: int) -> float:
    """Estimate the distinct identities of the ``REACH_S`` seconds that end with ``second``."""
    n_empty = int(np.count_nonzero(cells <= second - REACH_S))
    return -N_CELLS * math.log(max(n_empty, 1) / N_CELLS)

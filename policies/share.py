"""Whose places how many are, where several governors share a service.

*Theory*: max-min fairness by demand. Nobody gets more than it asks for while others lack, and what
nobody asks for is lent out evenly, so that a burst finds room before the others have heard of it.
With demands d the level w of the water solves ``sum(min(d_i, w)) = places``.

The demands of the others are known as a histogram: how many ask for 2^b to 2^(b+1) places, and how
many places they ask for together. That is a sum of rows, whoever they are, so it costs a governor
the same among three as among a thousand. Those in one bin are taken to ask for the same.

Parts become whole places by Hermite's identity: floor(x) + floor(x + 1/n) + ... +
floor(x + (n-1)/n) = floor(n x), so n equal parts, each with the offset of its rank, are the whole.
With unequal parts they are more or less by fewer than n.

*Source*: Bertsekas, Gallager, "Data Networks", 1992, section 6.5.2 (max-min fairness).
*Considered and rejected*: in proportion to demand (who keeps the longest line gets the most).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

N_BINS: Final = 16
"""Demands of 1 to 65,535 places, and more in the last."""


def bin_of(demand: int) -> int:
    """Return the bin of a demand above 0.

    Examples
    --------
    >>> bin_of(1), bin_of(3), bin_of(4), bin_of(1 << 20)
    (0, 1, 2, 15)
    """
    return min(demand.bit_length() - 1, N_BINS - 1)


def fair_part(
    own: int, n_asking: Sequence[int], asked: Sequence[int], places: float, n_governors: int
) -> float:
    """Return how many of ``places`` are ours.

    Parameters
    ----------
    own : int
        Our demand: calls in flight and waiting.
    n_asking, asked : sequence of int
        The others by bin: how many they are, and what they ask for together.
    n_governors : int
        All of us, those that ask for nothing included.

    Examples
    --------
    >>> fair_part(40, [0, 0, 1], [0, 0, 4], 32.0, 2)  # the other one asks for 4
    28.0
    >>> fair_part(4, [0, 0, 1], [0, 0, 4], 32.0, 2)  # what nobody asks for is lent out
    16.0
    """
    total = own + sum(asked)
    if total <= places:
        return own + (places - total) / n_governors
    demands = [(asked[x] / n, n) for x, n in enumerate(n_asking) if n > 0]
    demands.append((float(own), 1))
    demands.sort()
    left, n_left = places, sum(n for _, n in demands)
    for demand, n in demands:
        if demand * n_left > left:
            break
        left -= demand * n
        n_left -= n
    level = left / n_left if n_left else places
    return max(0.0, min(float(own), level))


def whole_places(part: float, rank: int, n_governors: int) -> int:
    """Return a part in whole places, at least one.

    Examples
    --------
    >>> [whole_places(32 / 3, rank, 3) for rank in range(3)]
    [10, 11, 11]
    """
    return max(1, int(part + rank % n_governors / n_governors))

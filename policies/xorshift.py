"""Randomness that is an argument: a seed in, the same numbers out, wherever it runs.

*Source*: G. Marsaglia, "Xorshift RNGs" (J. Statistical Software 8, 2003), the
triple (13, 7, 17); period 2**64 - 1.
"""

from __future__ import annotations

from typing import Final

_MASK: Final = 0xFFFFFFFFFFFFFFFF


class Xorshift:
    """A small generator; enough for lengths of phases and choices among endpoints.

    Parameters
    ----------
    seed : int
        Any; neighbouring seeds give unrelated numbers.
    """

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = (seed * 2654435761 + 88172645463325252) & _MASK or 1

    def random(self) -> float:
        """Return the next number in [0, 1)."""
        x = self._state
        x ^= (x << 13) & _MASK
        x ^= x >> 7
        x ^= (x << 17) & _MASK
        self._state = x
        return (x >> 11) / 9007199254740992.0

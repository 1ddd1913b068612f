"""What a signal says now.

*Rule of this file*: one frozen value type, the only shape in which a signal
leaves this package. Policies, metrics and the state page read it; nothing in
it can be traced back to a caller.
"""

from __future__ import annotations

from typing import NamedTuple


class Reading(NamedTuple):
    """One number with its unit and how much stands behind it.

    Examples
    --------
    >>> Reading("retry_share", 0.25, "ratio", 40, True).value
    0.25
    """

    name: str
    """Stable snake_case word; the same in metrics, logs and docs."""
    value: float
    """Never NaN. Zero while ``is_ready`` is false unless said otherwise."""
    unit: str
    """``hz``, ``ratio``, ``nats``, ``flows``, ``seconds``, ``count`` or ``bool``."""
    samples: int
    """Events behind the value, so that a reader can judge it."""
    is_ready: bool
    """False while warming up: not enough time or events seen to be believed."""

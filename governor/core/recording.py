"""What a gate tells whoever writes down each arrival, first byte and end of a call.

*Rule of this file*: those that every request makes, and only these: they go the signals' way,
once. All else is written down beside the gate (:mod:`governor.record`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from governor.core.arrival import Arrival
from governor.core.lease import Lease
from policies.decision import Outcome


class Recording(Protocol):
    """Takes them to the signals, and writes them down."""

    @property
    def arrive(self) -> Callable[[int, Arrival, Any], int]:
        """Tell the signals of (now_ns, arrival, owner), and write; return the call's handle."""

    @property
    def end(self) -> Callable[[int, int, int, int, int, int], int]:
        """Tell them (how, now_ns, call, retry_after_ns, outcome, status), and write."""

    def begin(self, now_ns: int, lease: Lease, status: int) -> None:
        """Tell them of a first byte, and write."""

    def note_begin(self, now_ns: int, lease: Lease, status: int) -> None:
        """Write a first byte that the signals have not seen."""

    def note_arrival(self, now_ns: int, arrival: Arrival, owner: Any, call: int) -> int:
        """Write an arrival that the signals have not seen; return what its call is from now on."""

    def note_end(
        self, now_ns: int, lease: Lease, outcome: Outcome, status: int, retry_after_ns: int
    ) -> None:
        """Write an end that the signals have not seen."""

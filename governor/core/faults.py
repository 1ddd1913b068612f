"""Faults of signals and policies: survived in one way, and counted by whose they were.

*Rule of this file*: whatever a gate tells a policy or asks of it may raise, and no request
may pay for it. What raised is counted under its name, and the gate goes on as if it had not
been told, or as if it had said nothing: with the answer that lets the request through.

The gate's own accounts (the state of a lease, what is in flight, who is who, the ledger) are
settled before anybody is told; they are what a fault must leave whole.

Two forms, one meaning. Off the path of every request::

    faults.tell(Part.QUOTA, quota.on_refused, now_ns, ...)
    faults.ask(Part.LIMIT, 0, limit.response_ns)

and on it, where a call more would be paid by every request, ``try`` around the act and
``faults.note(Part.LIMIT)`` behind ``except Exception``, which costs nothing until it raises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Part(StrEnum):
    """Whose fault it was."""

    SIGNALS = "signals"
    LIMIT = "limit"
    QUOTA = "quota"
    CONTAIN = "contain"
    """Long and hung kinds."""
    HOLD = "hold"
    ACCELERATION = "acceleration"
    SHAPING = "shaping"
    """What puts the four above together."""
    HOLDBACK = "holdback"
    PATIENCE = "patience"
    LINE = "line"
    """The order in which those who wait are served, or sent away."""
    SHED = "shed"
    SLOTS = "slots"
    ABSORB = "absorb"
    REROUTE = "reroute"
    ROOTS = "roots"
    ENVELOPE = "envelope"
    """Held and quarantined flows."""
    LOG = "log"
    GATE = "gate"
    """None of these: the gate itself."""


class Faults:
    """The faults survived at one gate.

    Attributes
    ----------
    by_part : Counter of Part

    Examples
    --------
    >>> faults = Faults()
    >>> faults.ask(Part.LIMIT, 7, lambda: 1 // 0), faults.ask(Part.LIMIT, 7, lambda: 8)
    (7, 8)
    >>> faults.n, faults.by_part[Part.LIMIT]
    (1, 1)
    """

    __slots__ = ("by_part",)

    def __init__(self) -> None:
        self.by_part: Counter[Part] = Counter()

    @property
    def n(self) -> int:
        """All of them."""
        return self.by_part.total()

    def note(self, part: Part) -> None:
        """Count a fault."""
        self.by_part[part] += 1

    def tell(self, part: Part, act: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
        """Do what may raise; return whether it did not."""
        try:
            act(*args, **kwargs)
        except Exception:
            self.by_part[part] += 1
            return False
        return True

    def ask(
        self, part: Part, otherwise: T, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what ``act`` says, or ``otherwise`` where it raises."""
        try:
            return act(*args, **kwargs)
        except Exception:
            self.by_part[part] += 1
            return otherwise

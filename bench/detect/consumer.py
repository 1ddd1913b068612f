"""Signal banks as the simulation feeds them, and what is read from them.

*Rule of this file*: one place that knows how to make a bank, so that sections
do not. A bank that counts without detecting (``Deaf``) measures the cost of
the simulation itself.
"""

from __future__ import annotations

import inspect
from typing import Any

from signals import SignalBank

ANSWERED, FAILED = 0, 1


class Deaf:
    """A bank that hands out handles and hears nothing."""

    def __init__(self) -> None:
        self.n = 0

    def observe_arrival(self, now_ns: int, *shape: Any) -> int:
        """Return a new handle."""
        self.n += 1
        return self.n

    def observe_leave(self, now_ns: int, call: int) -> None:
        """Hear nothing."""

    def observe_end(self, now_ns: int, call: int, how: int, retry_after_ns: int = 0) -> None:
        """Hear nothing."""

    def tick(self, now_ns: int) -> None:
        """Hear nothing."""

    def read(self) -> tuple[Any, ...]:
        """Return no readings."""
        return ()


class FirstBank:
    """The first signals' bank (arrivals and failures only) behind calls by handle."""

    def __init__(self, n_flows: int) -> None:
        self.bank: Any = SignalBank(n_flows)
        self.read = self.bank.read
        self.tick = self.bank.tick
        self.open: dict[int, tuple[int, int, int]] = {}
        self.n = 0

    def observe_arrival(
        self,
        now_ns: int,
        tenant: int,
        flow: int,
        tree: int,
        fingerprint: int,
        marked_attempt: int,
        family: int,
        is_identified: bool,
        patience_ns: int,
    ) -> int:
        """Count an arrival; return its handle."""
        attempt = self.bank.observe_arrival(
            now_ns, flow, fingerprint, marked_attempt, is_identified
        )
        self.n += 1
        self.open[self.n] = (flow, fingerprint, attempt)
        return self.n

    def observe_leave(self, now_ns: int, call: int) -> None:
        """Count a failure."""
        self.bank.observe_departure(now_ns, *self.open[call], True)

    def observe_end(self, now_ns: int, call: int, how: int, retry_after_ns: int = 0) -> None:
        """Forget the call; a failure is counted."""
        known = self.open.pop(call)
        if how == FAILED:
            self.bank.observe_departure(now_ns, *known, True)


HAS_HANDLES = hasattr(SignalBank, "observe_end") or "observe_end" in getattr(
    SignalBank, "__slots__", ()
)


def make_banks(n_flows: int, n_upstreams: int = 1) -> list[Any]:
    """Return the banks of one process, one per upstream, over shared memory where there is some."""
    if not HAS_HANDLES:
        return [FirstBank(n_flows) for _ in range(n_upstreams)]
    import signals

    make_shared: Any = getattr(signals, "Shared")  # noqa: B009
    known = inspect.signature(make_shared).parameters
    sizes = {"n_calls": 65_536, "n_trees": 65_536, "n_upstreams": max(2, n_upstreams)}
    shared = make_shared(**{name: size for name, size in sizes.items() if name in known})
    make: Any = SignalBank
    return [make(n_flows, shared=shared, upstream=k) for k in range(n_upstreams)]


def make_bank(n_flows: int) -> Any:
    """Return one bank with memory of its own."""
    return make_banks(n_flows)[0]


def values_of(bank: Any) -> dict[str, float]:
    """Return what a bank reads now: only readings that are ready."""
    return {reading.name: reading.value for reading in bank.read() if reading.is_ready}

"""What the traffic says: detectors over arrays that the caller owns.

::

    bank = SignalBank(n_flows)
    attempt = bank.observe_arrival(now_ns, flow, fingerprint, marked_attempt, is_identified)
    bank.observe_departure(now_ns, flow, fingerprint, attempt, is_failure)
    bank.tick(now_ns)
    bank.read()

The map: ``state`` (memory and clock) <- ``retry``, ``synchrony`` (detectors) <-
``windows`` (what closes when), ``summary`` (readings) <- ``events`` (the entrance) <- ``bank`` (the
calls). ``kernel`` compiles.

Nothing here reads a clock, waits, logs or draws random numbers: time comes in
as an argument, and only differences between instants matter.
"""

from __future__ import annotations

from signals.bank import UNMARKED, SignalBank
from signals.reading import Reading

__all__ = ["UNMARKED", "Reading", "SignalBank", "warm_up"]


def warm_up() -> None:
    """Run every kernel once, so that the first request pays for no loading.

    Importing this package compiles (or loads) all kernels; this touches the
    code and data paths too. Call it before listening.
    """
    bank = SignalBank(4)
    for step in range(64):
        attempt = bank.observe_arrival(step * 30_000_000, 1 + step % 3, step % 2, UNMARKED, True)
        bank.observe_departure(step * 30_000_000 + 1_000_000, 1 + step % 3, step % 2, attempt, True)
    bank.tick(64 * 30_000_000)
    bank.read()

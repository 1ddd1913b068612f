"""What the traffic says: detectors over arrays that the caller owns.

::

    shared = Shared()                       # once a process
    bank = SignalBank(n_flows, shared, 0)   # once an upstream
    call = bank.observe_arrival(now_ns, tenant, flow, tree, fingerprint, …)
    bank.observe_answer(now_ns, call)
    bank.observe_leave(now_ns, call)
    bank.observe_end(now_ns, call, how)
    bank.tick(now_ns)
    bank.read()

The map: ``state`` (memory that detectors share, and the clock) <- the detectors
(``retry``, ``synchrony``) <- ``memory`` (all arrays gathered) <- ``windows`` (what
closes when), ``summary`` (readings) <- ``events`` (the entrances) <- ``bank`` (the
calls). ``kernel`` compiles. ``taped``: the entrances again, for who records (``tape``).

Nothing here reads a clock, waits, logs or draws random numbers: time comes in
as an argument, and only differences between instants matter.
"""

from __future__ import annotations

from signals.bank import UNMARKED, SignalBank
from signals.calls import ATTEMPT_MASK
from signals.events import ANSWERED, FAILED, FIRST_BYTE, GONE, LEFT, PARENT, REFUSED
from signals.memory import Shared
from signals.reading import Reading
from signals.taped import arrive_taped, note_taped

__all__ = [
    "ANSWERED",
    "ATTEMPT_MASK",
    "FAILED",
    "FIRST_BYTE",
    "GONE",
    "LEFT",
    "PARENT",
    "REFUSED",
    "UNMARKED",
    "Reading",
    "Shared",
    "SignalBank",
    "arrive_taped",
    "note_taped",
    "warm_up",
]


def warm_up() -> None:
    """Run every kernel once, so that the first request pays for no loading.

    Importing this package compiles (or loads) all kernels; this touches the
    code and data paths too. Call it before listening.
    """
    bank = SignalBank(4)
    for step in range(64):
        now_ns = step * 30_000_000
        call = bank.observe_arrival(now_ns, 1, 1 + step % 3, 1, step % 2)
        bank.observe_end(now_ns + 1_000_000, call, FAILED)
    bank.tick(64 * 30_000_000)
    bank.read()

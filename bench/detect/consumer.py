"""Signal banks as the simulation feeds them, and what is read from them.

*Rule of this file*: one place that knows how to make a bank, so that sections
do not.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from signals import Shared, SignalBank
from signals.summary import READINGS

SIZES = {"n_calls": 65_536, "n_trees": 65_536, "n_upstreams": 64}
"""Of the memory that upstreams share: a process's defaults."""


def make_banks(n_flows: int, n_upstreams: int = 1) -> list[SignalBank]:
    """Return the banks of one process, one per upstream, over shared memory where there is some."""
    known = inspect.signature(Shared).parameters
    shared = Shared(**{name: size for name, size in SIZES.items() if name in known})
    return [SignalBank(n_flows, shared, k) for k in range(n_upstreams)]


def make_bank(n_flows: int) -> SignalBank:
    """Return one bank with memory of its own."""
    return make_banks(n_flows)[0]


def values_of(bank: Any) -> dict[str, float]:
    """Return what a bank reads now: only readings that are ready."""
    return {reading.name: reading.value for reading in bank.read() if reading.is_ready}


class Watch:
    """Reads a few readings of one bank, every tick, without touching the others.

    Parameters
    ----------
    bank : SignalBank
    names : tuple of str
        Wanted readings; those that the bank does not give are left out.
    """

    def __init__(self, bank: SignalBank, names: tuple[str, ...]) -> None:
        known = {name: idx for idx, (name, _) in enumerate(READINGS)}
        self.names = tuple(name for name in names if name in known)
        self.index = np.array([known[name] for name in self.names], np.int64)
        self.value, self.ready = bank.state.readings["value"], bank.state.readings["ready"]

    def values(self) -> list[float]:
        """Return the readings as of the last tick, in the order of ``names``; 0 if not ready."""
        values: list[float] = (self.value[self.index] * self.ready[self.index]).tolist()
        return values

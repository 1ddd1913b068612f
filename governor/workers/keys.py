"""Who is who, in a worker: the keys themselves; whose number that is the keeper knows.

*Rule of this file*: stands where the identity tables stand in one process, and keeps nothing.
So labels, fairness and envelopes are one for all workers.
"""

from __future__ import annotations


class KeyTable:
    """Gives each key back."""

    __slots__ = ()

    def index(self, key: int, now_ns: int) -> int:
        """Return the key."""
        return key

    def find(self, key: int) -> int:
        """Return the key."""
        return key


class Keys:
    """In place of :class:`governor.core.identity.Identities` for whoever reads arrivals."""

    __slots__ = ("flows", "tenants", "trees")

    def __init__(self) -> None:
        self.tenants = self.flows = self.trees = KeyTable()


class LatestRule:
    """In place of the table of flows' rules: the rule of the arrival that was read last.

    Which configured agent a flow is depends on what this request sends, so it is found for each
    and travels with its record.
    """

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = -1

    def __getitem__(self, flow: int) -> int:
        return -1

    def __setitem__(self, flow: int, number: int) -> None:
        self.number = number

"""What several heads of one connection tell the gate alike, read once.

*Rule of this file*: keyed hashes and integers; no value is kept that was read from.
"""

from __future__ import annotations

from governor.core.arrival import Arrival


class Hints:
    """All that the headers say of a request but its length, its trace and its own id.

    Attributes
    ----------
    arrival : Arrival
        With everything that the headers say, and no indices: those are looked up anew.
    tenant_key, flow_key, tree_key : int
        Keyed hashes; the tree's is that of a request that names no trace.
    parent_key : int or None
        Of the flow that made this one.
    path_key : int
        Of what is called.
    is_lasting : bool
        Whether all of it holds for the next request too: no hint was an instant, or malformed
        (each of those is counted).
    """

    __slots__ = (
        "arrival",
        "flow_key",
        "is_lasting",
        "parent_key",
        "path_key",
        "tenant_key",
        "tree_key",
    )

    def __init__(self, tenant_key: int, flow_key: int, path_key: int) -> None:
        self.arrival = Arrival()
        self.tenant_key = tenant_key
        self.flow_key = self.tree_key = flow_key
        self.path_key = path_key
        self.parent_key: int | None = None
        self.is_lasting = True

"""Roots of trees: whose children wait in vain, because the root's caller has left for good.

*Rule of this file*: which traced calls are roots, which have lost their caller, and
who waits for nothing. What is done about it is the gate's.

*Theory*: one intent makes one call, the root; the service that takes it makes calls to
other services, its children. When the root's caller has left before the answer, nobody wants
what the children would bring. Those that have a place keep it; those that still
wait are answered at once, all of them, whichever came first: a tree served in part is
served in vain.

A root is the call that opens a trace of which nothing else is open. A child is a call of
that trace at another upstream and from another address. Both are needed: a caller's calls
side by side share its trace, too, and none of them is the parent of another. A
session or an agent's name is no intent: calls that name no trace are never doomed.

A root whose caller repeats it is the same intent. The SDKs that time out come back after
0.4 to 1 s, so a tree is doomed after ``GRACE_NS`` without any call of its trace from the root's
address; one that comes later ends it.

*Regime*: where addresses tell callers from services. Behind one address everybody is a
sibling, and nothing is doomed: the error is always to serve what nobody wants.

*Cost*: nothing for calls without a trace; a look-up for those with one; a pass over the line
per tick while some tree is doomed. At most ``N_ROOTS`` roots, whatever callers send.

*Source*: ours; the repeat after a time-out as in the clients' code (:mod:`signals.backoff`).

*Considered and rejected*: the newest open call of another flow as the parent (right for
services, wrong for an agent that calls two tools at once over two connections); children that
have a place already (their work would be lost, and may be worth something to a repeat).
"""

from __future__ import annotations

from typing import Final

from governor.core.lease import Lease, LeaseState

N_ROOTS: Final = 4_096
"""Roots remembered; beyond it those that ended are forgotten, then new ones not taken in."""

GRACE_NS: Final = 1_500_000_000
"""A caller that repeats at once is back: the longest first back-off of the SDKs is about 1 s."""

DOOMED_NS: Final = 30_000_000_000
"""Nobody waits longer, unless configured to."""

_CLOSED: Final = LeaseState.CLOSED


class Root:
    """The outermost call of a trace.

    Attributes
    ----------
    lease : Lease
    upstream : str
    left_at_ns : int
        When its caller left without an answer; 0 while it is there.
    """

    __slots__ = ("lease", "left_at_ns", "upstream")

    def __init__(self, lease: Lease, upstream: str) -> None:
        self.lease = lease
        self.upstream = upstream
        self.left_at_ns = 0


class Roots:
    """The roots that all gates of a process know of.

    Attributes
    ----------
    left : dict of int to Root
        Trees whose root's caller has left, doomed or about to be.
    """

    __slots__ = ("_doomed", "_roots", "left")

    def __init__(self) -> None:
        self._roots: dict[int, Root] = {}
        self._doomed: frozenset[int] = frozenset()
        self.left: dict[int, Root] = {}

    def __len__(self) -> int:
        return len(self._roots)

    def arrive(self, upstream: str, lease: Lease, is_alone: bool) -> None:
        """Note a call of a trace; ``is_alone`` if nothing else of the trace is open."""
        arrival = lease.arrival
        tree = arrival.tree
        root = self._roots.get(tree)
        if root is None:
            if tree > 0 and is_alone and self._has_place():
                self._roots[tree] = Root(lease, upstream)
            return
        if root.lease.arrival.source == arrival.source:
            if not root.left_at_ns and root.lease.state is not _CLOSED:
                return
        elif not is_alone:
            return
        root.lease, root.upstream = lease, upstream  # its caller is back, or goes on; or another
        if root.left_at_ns:
            root.left_at_ns = 0
            self.left.pop(tree, None)
            self._doomed -= {tree}

    def leave(self, now_ns: int, lease: Lease) -> None:
        """Note that a caller has left before the answer of its call began."""
        root = self._roots.get(lease.arrival.tree)
        if root is not None and root.lease is lease:
            root.left_at_ns = max(now_ns, 1)
            self.left[lease.arrival.tree] = root

    def doomed(self, now_ns: int) -> frozenset[int]:
        """Return the trees whose children wait in vain."""
        if not self.left:
            return self._doomed
        for tree, root in list(self.left.items()):
            if now_ns - root.left_at_ns > DOOMED_NS:
                del self.left[tree]
                del self._roots[tree]
        self._doomed = frozenset(
            tree for tree, root in self.left.items() if now_ns - root.left_at_ns >= GRACE_NS
        )
        return self._doomed

    def is_vain(self, upstream: str, lease: Lease) -> bool:
        """Whether a waiting call is the child of a root that nobody waits for."""
        arrival = lease.arrival
        if not arrival.source or arrival.tree not in self._doomed:
            return False
        root = self.left[arrival.tree]
        return root.upstream != upstream and root.lease.arrival.source != arrival.source

    def _has_place(self) -> bool:
        """Whether a root can be taken in, after those that ended well have been let go."""
        if len(self._roots) >= N_ROOTS:
            self._roots = {
                tree: root
                for tree, root in self._roots.items()
                if root.left_at_ns or root.lease.state is not _CLOSED
            }
        return len(self._roots) < N_ROOTS

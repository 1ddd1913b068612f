"""What stands behind a peer: upstreams, their endpoints, and which paths go to which.

*Rule of this file*: values only. The peers that are tuned read ``slots`` and
``patience_s`` here; Governor, and whatever learns, is given ports and paths only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Upstream:
    """One service.

    Attributes
    ----------
    name : str
    ports : tuple of int
        Its endpoints on loopback.
    slots : int
        What one endpoint can have in service at once, for the peers that are tuned by
        somebody who knows it.
    """

    name: str
    ports: tuple[int, ...]
    slots: int = 32

    @property
    def all_slots(self) -> int:
        """Slots of all endpoints together."""
        return self.slots * len(self.ports)


@dataclass(frozen=True)
class Topology:
    """All upstreams. The first takes every path, each other one the paths below ``/NAME``.

    Attributes
    ----------
    upstreams : tuple of Upstream
    patience_s : float
        How long callers wait, for the peers whose queue has a time limit to be tuned.
    """

    upstreams: tuple[Upstream, ...]
    patience_s: float = 2.0

    @classmethod
    def of(cls, behind: int | Topology) -> Topology:
        """Return the topology; a bare port is one upstream of 32 slots."""
        if isinstance(behind, Topology):
            return behind
        return cls((Upstream("service", (behind,)),))

    @property
    def is_plain(self) -> bool:
        """Whether there is one upstream with one endpoint."""
        return len(self.upstreams) == 1 and len(self.upstreams[0].ports) == 1

    def prefix(self, upstream: Upstream) -> str:
        """Return the beginning of the paths that go to an upstream.

        >>> both = Topology((Upstream("a", (1,)), Upstream("b", (2,))))
        >>> [both.prefix(upstream) for upstream in both.upstreams]
        ['/', '/b']
        """
        return "/" if upstream is self.upstreams[0] else f"/{upstream.name}"

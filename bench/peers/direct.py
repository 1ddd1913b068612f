"""No proxy: the load generator talks to the upstream itself. The base line."""

from __future__ import annotations

from pathlib import Path

from bench.peers.base import Peer, Running
from bench.peers.topology import Topology


class DirectPeer(Peer):
    """Nothing in between."""

    name = "direct"

    def is_here(self) -> bool:
        """Never missing."""
        return True

    def version(self) -> str:
        """There is nothing to have a version."""
        return "-"

    def command(self, folder: Path, port: int, behind: Topology, admin_port: int) -> list[str]:
        """No command: ``start`` does not use it."""
        return []

    def start(self, behind: int | Topology, core: int | None) -> Running:
        """Return the first endpoint's own port."""
        topology = Topology.of(behind)
        return Running(self.name, topology.upstreams[0].ports[0], None, topology=topology)

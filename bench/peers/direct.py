"""No proxy: the load generator talks to the upstream itself. The base line."""

from __future__ import annotations

from pathlib import Path

from bench.peers.base import Peer, Running


class DirectPeer(Peer):
    """Nothing in between."""

    name = "direct"

    def missing(self) -> str:
        """Never missing."""
        return ""

    def version(self) -> str:
        """There is nothing to have a version."""
        return "-"

    def command(self, folder: Path, port: int, upstream_port: int, admin_port: int) -> list[str]:
        """No command: ``start`` does not use it."""
        return []

    def start(self, upstream_port: int, core: int | None) -> Running:
        """Return the upstream's own port."""
        return Running(self.name, upstream_port, None)

"""Governors side by side with a real Redis, as one peer of ``bench storm``.

*Rule of this file*: processes. Callers are spread over the governors' ports, agent by agent, as a
balancer by connection would.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import yaml

from bench.children import HOST, BenchError, Child, free_port
from bench.fleet.redis_server import RedisServer, find_server
from bench.peers.base import Running, ask_once
from bench.peers.governor import PROGRAM, GovernorPeer, gateway
from bench.peers.topology import Topology

CRASH_AT_S, AWAY_S = 9.0, 3.0
"""From when callers were told where to go, the server dies within the faults, and comes back."""


class FleetRunning(Running):
    """Several governors, and the server between them."""

    def __init__(
        self, peers: list[Running], server: RedisServer | None, topology: Topology, crashes: bool
    ) -> None:
        first = peers[0]
        super().__init__("governor", first.port, first.child, first.admin_port, topology)
        self.peers = peers
        self._server = server
        self._crashes = crashes
        self._timers: list[threading.Timer] = []

    @property
    def urls(self) -> tuple[str, ...]:
        """One per governor."""
        if self._crashes and self._server is not None and not self._timers:
            for at_s, act in (
                (CRASH_AT_S, self._server.kill),
                (CRASH_AT_S + AWAY_S, self._server.start),
            ):
                timer = threading.Timer(at_s, act)
                timer.daemon = True
                timer.start()
                self._timers.append(timer)
        return tuple(x.url for x in self.peers)

    def cpu_s(self) -> float:
        """Of all governors."""
        return sum(x.child.usage().cpu_s for x in self.peers if x.child is not None)

    def stop(self) -> None:
        """Stop all of them."""
        for timer in self._timers:
            timer.cancel()
            timer.join()
        for peer in self.peers:
            peer.stop()
        if self._server is not None:
            self._server.kill()


class FleetPeer(GovernorPeer):
    """Three governors with one view."""

    name = "governor-fleet"
    n = 3
    shares = True
    crashes = False
    is_pinned = True
    """Whether all share the one core that is in front; else the machine's, as machines of their own
    would be shared by nobody."""

    def start(self, behind: int | Topology, core: int | None) -> Running:
        """Start the server and all governors; each has passed on a request."""
        topology = Topology.of(behind)
        server = None
        if self.shares:
            path = find_server()
            if path is None:
                raise BenchError("no redis-server or valkey-server: apt-get install redis-server")
            server = RedisServer(path)
            server.start()
        peers: list[Running] = []
        try:
            for _ in range(self.n):
                peers.append(self._start_one(topology, core, server))
        except BaseException:
            for peer in peers:
                peer.stop()
            if server is not None:
                server.kill()
            raise
        return FleetRunning(peers, server, topology, self.crashes)

    def _start_one(
        self, topology: Topology, core: int | None, server: RedisServer | None
    ) -> Running:
        folder = Path(tempfile.mkdtemp(prefix="bench-fleet-"))
        port, admin_port = free_port(), free_port()
        told = yaml.safe_load(gateway(topology))
        if server is not None:
            told["fleet"] = {"url": server.url}
        config = folder / "governor.yaml"
        config.write_text(yaml.safe_dump(told))
        command = [*PROGRAM, "run", "--config", str(config)]
        command += ["--listen", f"{HOST}:{port}", "--admin", f"{HOST}:{admin_port}"]
        own_core = core if self.is_pinned else None
        child = Child("governor", command, own_core, folder / "log", folder=folder)
        running = Running("governor", port, child, admin_port, topology)
        try:
            child.wait_port(port, self.ready_s)
            for upstream in topology.upstreams:
                ask_once(port, self.ready_s, f"{topology.prefix(upstream).rstrip('/')}/first")
        except BaseException:
            running.stop()
            raise
        return running


class ApartPeer(FleetPeer):
    """Three governors that know nothing of each other."""

    name = "governor-apart"
    shares = False


class SinglePeer(ApartPeer):
    """One governor, started in the same way."""

    name = "governor-one"
    n = 1


class CrashPeer(FleetPeer):
    """Three with one view, whose server dies in the middle and comes back."""

    name = "governor-crash"
    crashes = True


FLEET_PEERS = {peer.name: peer for peer in (SinglePeer, ApartPeer, FleetPeer, CrashPeer)}

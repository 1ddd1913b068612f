"""The data plane of one process: listeners, connections, the sweep, the end.

*Rule of this file*: what belongs to all connections together. Made and started
by the runtime; knows no configuration beyond its listeners.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Protocol

from governor.config.durations import Address
from governor.config.model import Listener
from governor.errors import GovernorError
from governor.proxy import endings
from governor.proxy.downstream import Downstream
from governor.proxy.exchange import Exchange
from governor.proxy.marks import TOUCHED
from governor.proxy.stats import DoneHook, ProxyStats, SampleHook
from governor.proxy.sweep import SWEEP_INTERVAL_S, sweep_connection
from governor.proxy.tls import make_listener_context
from governor.proxy.tunnel import Tunnel
from governor.proxy.unshared import forget_done

if TYPE_CHECKING:
    from governor.core.arrival import Arrival
    from governor.proxy.coalesce import Flight
    from governor.proxy.headers import RequestHead
    from governor.proxy.peer import Peer
    from governor.proxy.pool import EndpointPool
    from governor.proxy.router import Route, Router

_NS = 1_000_000_000

BACKLOG = 4_096
"""Connections the kernel may hold before they are accepted; bounded by net.core.somaxconn."""


class Watched(Protocol):
    """What is under way beside the callers' own exchanges, and needs a bound on its time."""

    def sweep(self, now_ns: int) -> None:
        """Act on what has taken too long."""

    def end(self) -> None:
        """End it at once."""


ArrivalBuilder = Callable[["RequestHead", "Peer", "Route"], "Arrival"]
FaultHook = Callable[[Exception], None]


class ListenerSettings:
    """What one listener allows a connection, in nanoseconds and bytes.

    Parameters
    ----------
    listener : Listener
    half_close : bool
        Serve callers that close their sending half and read on.
    """

    __slots__ = (
        "address",
        "body_timeout_ns",
        "half_close",
        "head_timeout_ns",
        "idle_timeout_ns",
        "max_connections",
        "max_head_bytes",
        "n_connections",
        "scheme",
        "write_timeout_ns",
    )

    def __init__(self, listener: Listener, half_close: bool = False) -> None:
        self.address = ("", 0)
        self.scheme = "https" if listener.tls else "http"
        self.half_close = half_close
        self.max_connections = listener.max_connections
        self.max_head_bytes = listener.max_head_bytes
        self.head_timeout_ns = int(listener.head_timeout_s * _NS)
        self.body_timeout_ns = int(listener.body_timeout_s * _NS)
        self.idle_timeout_ns = int(listener.idle_timeout_s * _NS)
        self.write_timeout_ns = int(listener.write_timeout_s * _NS)
        self.n_connections = 0


class ProxyServer:
    """Listens, counts, sweeps, drains.

    Parameters
    ----------
    listeners : sequence of Listener
    router : Router
    stats : ProxyStats
    build_arrival : callable
        Turns a head into what the gate is told.
    pools : iterable of EndpointPool
        All pools behind the routes: swept and closed here.
    on_done : callable, optional
        Called with a record of each finished request.
    logs_touched_only : bool
        Call ``on_done`` only for requests that were delayed, answered here, or failed, and for
        those that are sampled.
    sample : callable, optional
        Says which requests become spans.
    on_fault : callable, optional
        Told of own bugs that a request survived.
    half_close : bool
        See :mod:`governor.proxy.downstream`.
    tells_quota : bool
        Own refusals say what is known of the caller's quotas.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        router: Router,
        stats: ProxyStats,
        build_arrival: ArrivalBuilder,
        pools: Iterable[EndpointPool],
        *,
        on_done: DoneHook | None = None,
        logs_touched_only: bool = True,
        sample: SampleHook | None = None,
        on_fault: FaultHook | None = None,
        half_close: bool = False,
        tells_quota: bool = False,
    ) -> None:
        self.listeners = tuple(listeners)
        self.router = router
        self.stats = stats
        self.build_arrival = build_arrival
        self.pools = tuple(pools)
        self.on_done = on_done
        self.logs_touched_only = logs_touched_only
        self.sample = sample
        self.on_fault = on_fault
        self.half_close = half_close
        self.tells_quota = tells_quota
        self.connections: set[Downstream] = set()
        self.abandoned: set[Exchange] = set()
        self.tunnels: set[Tunnel] = set()
        self.flights: dict[object, Flight] = {}
        self.unshared: dict[object, Exchange] = {}
        self.watched: set[Watched] = set()
        self.is_draining = False
        self.marks = TOUCHED
        self._all_lost = asyncio.Event()
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- life -----------------------------------------------------------------

    async def start(
        self,
        loop: asyncio.AbstractEventLoop | None = None,
        sockets: Sequence[Sequence[socket.socket]] | None = None,
    ) -> None:
        """Listen on every address and begin to sweep.

        Parameters
        ----------
        loop : AbstractEventLoop, optional
        sockets : sequence of sequence of socket, optional
            For each listener those that listen already, instead of its address.

        Raises
        ------
        OSError
            An address is taken or not this machine's.
        """
        self._loop = loop or asyncio.get_running_loop()
        for idx, listener in enumerate(self.listeners):
            settings = ListenerSettings(listener, self.half_close)
            context: ssl.SSLContext | None = None
            if listener.tls is not None:
                context = make_listener_context(listener.tls.certificate, listener.tls.key)
            address = listener.parsed
            places: list[dict[str, Any]] = [{"host": address.host, "port": address.port}]
            if sockets is not None:
                places = [{"sock": x} for x in sockets[idx]]
            for place in places:
                server = await self._loop.create_server(
                    lambda settings=settings: Downstream(self, settings),
                    **place,
                    ssl=context,
                    backlog=BACKLOG,
                    ssl_handshake_timeout=listener.head_timeout_s if context else None,
                )
                self._servers.append(server)
                settings.address = server.sockets[0].getsockname()[:2]
        self._sweeper = self._loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    @property
    def addresses(self) -> list[Address]:
        """The addresses really bound, one per listener (port 0 replaced)."""
        return [
            Address(*server.sockets[0].getsockname()[:2])
            for server in self._servers
            if server.sockets
        ]

    async def drain(self, timeout_s: float) -> bool:
        """Stop listening, let what is in flight finish, close. Return whether all of it did.

        Only callers are waited for: work whose caller has left ends with the process.

        Parameters
        ----------
        timeout_s : float
            After this everything left is cut off.
        """
        self.is_draining = True
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.drain()
        if self.connections:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._all_lost.wait()
        is_clean = not self.connections
        self.close()
        await asyncio.sleep(0)
        return is_clean

    def close(self) -> None:
        """End everything at once."""
        self.is_draining = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for server in self._servers:
            server.close()
        for tunnel in list(self.tunnels):
            tunnel.abort()
        for connection in list(self.connections):
            connection.end()
        now_ns = monotonic_ns()
        for exchange in list(self.abandoned):
            endings.expire(exchange, now_ns)
        for watched in list(self.watched):
            watched.end()
        for pool in self.pools:
            pool.abort()

    # -- connections ------------------------------------------------------------

    def accepted(self, connection: Downstream) -> None:
        """Count a new connection; above the cap it is answered 503 and closed."""
        stats = self.stats
        stats.n_connections_accepted += 1
        settings = connection.settings
        if settings.n_connections >= settings.max_connections or self.is_draining:
            stats.n_connections_refused += 1
            connection.refuse(
                GovernorError(
                    "Too many connections are open here.",
                    reason="too_many_connections",
                    status_hint=503,
                )
            )
        settings.n_connections += 1
        stats.n_connections += 1
        self.connections.add(connection)

    def lost(self, connection: Downstream) -> None:
        """Forget a connection that is gone."""
        if connection in self.connections:
            self.connections.discard(connection)
            connection.settings.n_connections -= 1
            self.stats.n_connections -= 1
            if self.is_draining and not self.connections:
                self._all_lost.set()

    def report_fault(self, error: Exception) -> None:
        """Tell of an own bug that a request survived. Counted by whoever caught it."""
        if self.on_fault is not None:
            self.on_fault(error)

    # -- the clock --------------------------------------------------------------

    def _sweep(self) -> None:
        assert self._loop is not None
        self._sweeper = self._loop.call_later(SWEEP_INTERVAL_S, self._sweep)
        try:
            self.sweep(monotonic_ns())
        except Exception as error:
            self.stats.n_faults += 1
            self.report_fault(error)

    def sweep(self, now_ns: int) -> None:
        """Act on whatever has taken too long (called four times a second)."""
        for connection in list(self.connections):
            sweep_connection(connection, now_ns)
        for exchange in list(self.abandoned):
            if now_ns - exchange.left_at_ns > exchange.pool.abandoned_timeout_ns:
                endings.expire(exchange, now_ns)
        for watched in list(self.watched):
            watched.sweep(now_ns)
        if self.unshared:
            forget_done(self.unshared)
        for pool in self.pools:
            pool.sweep(now_ns)

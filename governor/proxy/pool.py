"""Connections to one endpoint: the last one used is the next one used.

*Rule of this file*: who may use which connection; no HTTP. Last in, first out
keeps a few connections warm and lets the others age out.

A request that finds an idle connection is sent in the same callback. Only
opening a new one takes a task.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from governor.config.durations import EndpointAddress
from governor.config.model import Upstream
from governor.errors import UpstreamConnectError, UpstreamError, UpstreamTimeout
from governor.proxy.resolve import Addresses
from governor.proxy.stats import ProxyStats
from governor.proxy.tls import make_upstream_context
from governor.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from governor.proxy.exchange import Exchange

_NS = 1_000_000_000


class EndpointPool:
    """Keeps, opens and bounds the connections to one endpoint.

    Parameters
    ----------
    address : EndpointAddress
    settings : Upstream
        Time-outs and bounds.
    stats : ProxyStats

    Attributes
    ----------
    idle : list of UpstreamConnection
        Those that wait for a request, the one used last at the end.
    max_idle : int
        How many may wait; 0 once closed.
    quota_due_ns : int
        When an answer's quota headers are to be read next.
    """

    __slots__ = (
        "_addresses",
        "_context",
        "_max_connections",
        "_open",
        "_server_name",
        "_settings",
        "_tasks",
        "abandoned_timeout_ns",
        "address",
        "authority",
        "first_byte_timeout_ns",
        "idle",
        "idle_timeout_ns",
        "keepalive_timeout_ns",
        "max_idle",
        "n_connecting",
        "quota_due_ns",
        "stats",
    )

    def __init__(self, address: EndpointAddress, settings: Upstream, stats: ProxyStats) -> None:
        self.address = address
        self.authority = address.authority.encode("ascii")
        self.stats = stats
        self.first_byte_timeout_ns = int(settings.first_byte_timeout_s * _NS)
        self.idle_timeout_ns = int(settings.idle_timeout_s * _NS)
        self.keepalive_timeout_ns = int(settings.keepalive_timeout_s * _NS)
        self.abandoned_timeout_ns = int(settings.abandoned_timeout_s * _NS)
        self.n_connecting = 0
        self.quota_due_ns = 0
        self._settings = settings
        self.max_idle = settings.max_idle_connections
        self._max_connections = settings.max_connections
        self._addresses = Addresses(address.host, address.port)
        self._context: ssl.SSLContext | None = None
        self._server_name: str | None = None
        if address.is_tls:
            tls = settings.tls
            self._context = make_upstream_context(tls.verify, tls.ca_file)
            self._server_name = tls.server_name or address.host
        self.idle: list[UpstreamConnection] = []
        self._open: set[UpstreamConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"EndpointPool({self.address}, open={self.n_open}, idle={self.n_idle})"

    @property
    def connections(self) -> frozenset[UpstreamConnection]:
        """All open connections."""
        return frozenset(self._open)

    @property
    def n_open(self) -> int:
        """Open connections, idle ones included."""
        return len(self._open)

    @property
    def n_idle(self) -> int:
        """Connections that wait for a request."""
        return len(self.idle)

    @property
    def is_full(self) -> bool:
        """Whether no further connection may be opened."""
        return len(self._open) + self.n_connecting >= self._max_connections

    def opened(self, connection: UpstreamConnection) -> None:
        """Count a new connection."""
        self._open.add(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """Forget a connection that is gone; an idle one is never handed out again."""
        self._open.discard(connection)
        if connection.exchange is None and connection in self.idle:
            self.idle.remove(connection)

    def connect(self, exchange: Exchange) -> None:
        """Open a connection for an exchange; it is told ``connected`` or ``connect_failed``."""
        if self.is_full:
            exchange.connect_failed(
                UpstreamError(
                    "All connections that the upstream may be given are in use.",
                    reason="upstream_connections_exhausted",
                    status_hint=503,
                )
            )
            return
        self.n_connecting += 1
        task = asyncio.get_running_loop().create_task(self._connect(exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, exchange: Exchange) -> None:
        try:
            connection = await self._open_any()
        except TimeoutError:
            self.stats.n_connect_failures += 1
            exchange.connect_failed(
                UpstreamTimeout(
                    "No connection to the upstream within connect_timeout.",
                    reason="upstream_connect_timeout",
                )
            )
        except OSError as error:
            self.stats.n_connect_failures += 1
            exchange.connect_failed(
                UpstreamConnectError(f"No connection to the upstream: {_describe(error)}.")
            )
        else:
            exchange.connected(connection)
        finally:
            self.n_connecting -= 1

    async def _open_any(self) -> UpstreamConnection:
        """Try the addresses in turn; each gets an even share of the time that is left."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._settings.connect_timeout_s
        async with asyncio.timeout_at(until_s):
            addresses = await self._addresses.resolve()
        failure: OSError = OSError("the name has no address")
        for idx, address in enumerate(addresses):
            share_s = (until_s - loop.time()) / (len(addresses) - idx)
            try:
                async with asyncio.timeout(share_s):
                    connection = await self._open_one(loop, address)
            except OSError as error:
                failure = error
                continue
            self._addresses.succeeded(address)
            return connection
        self._addresses.failed()
        raise failure

    async def _open_one(self, loop: asyncio.AbstractEventLoop, address: str) -> UpstreamConnection:
        _, connection = await loop.create_connection(
            lambda: UpstreamConnection(self),
            address,
            self.address.port,
            ssl=self._context,
            server_hostname=self._server_name,
        )
        return connection

    def sweep(self, now_ns: int) -> None:
        """Close connections that were idle too long; the oldest are in front."""
        idle = self.idle
        limit_ns = now_ns - self.keepalive_timeout_ns
        n_old = 0
        while n_old < len(idle) and idle[n_old].idle_since_ns < limit_ns:
            n_old += 1
        if n_old:
            old = idle[:n_old]
            del idle[:n_old]
            for connection in old:
                connection.close()

    def close(self) -> None:
        """Close idle connections now and the others when they come back."""
        self.max_idle = 0
        idle, self.idle = self.idle, []
        for connection in idle:
            connection.close()

    def abort(self) -> None:
        """End every connection and every attempt to open one."""
        self.close()
        for task in list(self._tasks):
            task.cancel()
        for connection in list(self._open):
            connection.abort()


def _describe(error: OSError) -> str:
    """Say what failed without naming what the caller must not learn (paths, file names)."""
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or type(error).__name__})"
    return (error.strerror or type(error).__name__).lower()

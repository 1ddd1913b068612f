"""A data plane on loopback with a gate that notes what it is told, and raw peers around it.

Everything runs in one uvloop loop, as in production; peers read and write bytes.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Self

import uvloop

from governor.config.model import Listener, Match, Upstream
from governor.config.model import Route as RouteConfig
from governor.core.arrival import Arrival
from governor.core.lease import Decision, Lease, LeaseState, make_lease
from governor.proxy.pool import EndpointPool
from governor.proxy.router import Route, Router
from governor.proxy.server import ProxyServer
from governor.proxy.stats import ProxyStats, RequestRecord
from policies.decision import Action, Outcome, Reason
from policies.ejection import Verdict

PATIENCE_S = 5.0
"""Longest wait for something that must happen; never a sleep."""

Handler = Callable[["Peer"], Awaitable[None]]


def on_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on uvloop, bounded."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(30):
                await test(*args, **kwargs)

        uvloop.run(bounded())

    del run.__wrapped__  # type: ignore[attr-defined]
    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run


async def until(is_true: Callable[[], object], what: str = "") -> None:
    """Wait until something holds."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + PATIENCE_S
    while not is_true():
        assert loop.time() < end_s, f"did not happen: {what or is_true}"
        await asyncio.sleep(0.002)


class Unrefused:
    """Lets every refusal of the upstream pass as it is."""

    def note(self, now_ns: int) -> None:
        """Count nothing."""

    def answer(self, now_ns: int, lease: Lease, status: int, asked_ns: int) -> None:
        """Give no slot."""


class Gate:
    """Admits, holds or answers as told, and notes every event."""

    def __init__(self) -> None:
        self.name = "test"
        self.refused = Unrefused()
        self.events: list[tuple[Any, ...]] = []
        self.open: set[Lease] = set()
        self.line: list[Lease] = []
        self.next_action = Action.ADMIT
        self.endpoint_idx = 0
        self.is_broken = False

    def arrive(self, now_ns: int, arrival: Arrival, owner: Any = None) -> Decision:
        if self.is_broken:
            raise ZeroDivisionError("a bug in the gate")
        lease = make_lease(arrival, now_ns, 0, owner)
        if self.next_action is Action.ADMIT:
            return self._admit(lease, Reason.UNTOUCHED)
        if self.next_action is Action.WAIT:
            self.line.append(lease)
            return Decision(Action.WAIT, Reason.OVER_LIMIT, lease)
        lease.state = LeaseState.CLOSED
        return Decision(Action.ANSWER, Reason.LINE_TOO_LONG, lease, 1_500_000_000, 429)

    def _admit(self, lease: Lease, reason: Reason) -> Decision:
        lease.state = LeaseState.OPEN
        lease.endpoint_idx = self.endpoint_idx
        self.open.add(lease)
        return Decision(Action.ADMIT, reason, lease)

    def release(self) -> None:
        """Admit the first that waits."""
        decision = self._admit(self.line.pop(0), Reason.CAPACITY_FREED)
        decision.lease.owner.apply(decision)

    def send_away(self) -> None:
        """Answer the first that waits."""
        lease = self.line.pop(0)
        lease.state = LeaseState.CLOSED
        lease.owner.apply(Decision(Action.ANSWER, Reason.PATIENCE_SPENT, lease, 2_000_000_000, 429))

    def answered(self, now_ns: int, lease: Lease, status: int) -> None:
        assert lease in self.open
        self.events.append(("answered", status))

    def reroute(
        self, now_ns: int, lease: Lease, verdict: Verdict
    ) -> tuple[Decision | None, list[Decision]]:
        assert lease in self.open
        self.events.append(("reroute", verdict))
        return None, []

    def leave(self, now_ns: int, lease: Lease) -> list[Decision]:
        self.events.append(("left",))
        lease.has_left = True
        if lease in self.line:
            self.line.remove(lease)
            lease.state = LeaseState.CLOSED
        return []

    def observe_quota(
        self, now_ns: int, tenant: int, kind: int, limit: int, remaining: int, reset_ns: int
    ) -> None:
        self.events.append(("quota", kind, limit, remaining, reset_ns))

    def depart(
        self,
        now_ns: int,
        lease: Lease,
        outcome: Outcome,
        status: int = 0,
        retry_after_ns: int = 0,
    ) -> list[Decision]:
        assert lease in self.open, "a lease closes once"
        self.open.remove(lease)
        lease.state = LeaseState.CLOSED
        self.events.append((outcome, status))
        if retry_after_ns:
            self.events.append(("retry after", retry_after_ns))
        return []

    @property
    def outcomes(self) -> list[tuple[Any, ...]]:
        return [event for event in self.events if isinstance(event[0], Outcome)]


class Peer:
    """One raw connection of a test's caller or upstream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        """The next head, through its empty line."""
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE_S)

    async def exactly(self, n_bytes: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(n_bytes), PATIENCE_S)

    async def some(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(65_536), PATIENCE_S)

    async def chunked(self) -> bytes:
        """A chunked body as it stands on the wire, through its end."""
        wire = b""
        while True:
            line = await asyncio.wait_for(self.reader.readline(), PATIENCE_S)
            wire += line
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            wire += await self.exactly(size + 2)
        while True:
            line = await asyncio.wait_for(self.reader.readline(), PATIENCE_S)
            wire += line
            if line == b"\r\n":
                return wire

    async def rest(self) -> bytes:
        """Everything up to the end of the connection (a reset ends it too)."""
        data = b""
        try:
            while part := await self.some():
                data += part
        except ConnectionError:
            pass
        return data

    async def answer(self) -> tuple[bytes, bytes]:
        """Head and counted body of one response."""
        head = await self.head()
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        return head, await self.exactly(length)

    def reset(self) -> None:
        """End with RST."""
        with socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno())) as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


class Service:
    """An upstream made of a handler per connection."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.peers: list[Peer] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0, **kwargs: Any) -> Self:
        self._server = await asyncio.start_server(self._serve, host, port, limit=1 << 22, **kwargs)
        address = self._server.sockets[0].getsockname()
        scheme = "https" if kwargs.get("ssl") else "http"
        name = f"[{address[0]}]" if ":" in address[0] else address[0]
        self.url = f"{scheme}://{name}:{address[1]}"
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        peer = Peer(reader, writer)
        self.peers.append(peer)
        try:
            await self.handler(peer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, TimeoutError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.sleep(0)


def ok(body: bytes = b"ok", headers: bytes = b"") -> bytes:
    """A small response."""
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body)


def answering(response: bytes = ok()) -> Handler:
    """Read requests without or with a counted body, answer each the same."""

    async def handle(peer: Peer) -> None:
        while True:
            await peer.answer()
            peer.send(response)

    return handle


class Rig:
    """A proxy between `service` and the test."""

    def __init__(
        self,
        handler: Handler | None = None,
        *,
        listener: dict[str, Any] | None = None,
        upstream: dict[str, Any] | None = None,
        route: dict[str, Any] | None = None,
        urls: list[str] | None = None,
        service: dict[str, Any] | None = None,
        half_close: bool = False,
    ) -> None:
        self.service = Service(handler or answering())
        self.gate = Gate()
        self.stats = ProxyStats()
        self.records: list[RequestRecord] = []
        self.faults: list[Exception] = []
        self.peers: list[Peer] = []
        self._listener = Listener(**{"address": "127.0.0.1:0", **(listener or {})})
        self._upstream = upstream or {}
        self._route = route or {}
        self._urls = urls
        self._service_args = service or {}
        self._half_close = half_close
        self.pools: list[EndpointPool] = []
        self.server: ProxyServer

    async def __aenter__(self) -> Self:
        await self.service.start(**self._service_args)
        settings = Upstream(
            **{"endpoints": self._urls or [self.service.url], "connect_timeout_s": 2.0}
            | self._upstream
        )
        self.pools = [EndpointPool(a, settings, self.stats) for a in settings.addresses]
        config = RouteConfig(upstream="test", match=Match(), **self._route)
        router = Router([Route(config, self.gate, self.pools)])  # type: ignore[arg-type]
        self.server = ProxyServer(
            [self._listener],
            router,
            self.stats,
            lambda head, peer, route: Arrival(),
            self.pools,
            on_done=self.records.append,
            logs_touched_only=False,
            on_fault=self.faults.append,
            half_close=self._half_close,
        )
        await self.server.start()
        self.address = self.server.addresses[0]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for peer in self.peers:
            peer.close()
        if exc[0] is None:
            await until(lambda: not self.server.connections, "the callers' connections close")
        self.server.close()
        await self.service.stop()
        await asyncio.sleep(0.001)
        if exc[0] is None:
            assert not self.gate.open, f"open leases: {self.gate.open}"
            assert not self.gate.line, "leases in the line"
            assert not self.server.abandoned
            assert self.stats.n_connections == 0
            assert all(pool.n_open == 0 and pool.n_connecting == 0 for pool in self.pools)
            assert self.gate.is_broken or not self.faults, self.faults

    async def connect(self, **kwargs: Any) -> Peer:
        reader, writer = await asyncio.open_connection(
            self.address.host, self.address.port, limit=1 << 22, **kwargs
        )
        peer = Peer(reader, writer)
        self.peers.append(peer)
        return peer

    async def ask(self, request: bytes) -> bytes:
        """Send on a connection of its own; return all that comes back until it ends."""
        peer = await self.connect()
        peer.send(request)
        return await peer.rest()

    async def settled(self, n: int = 1) -> list[tuple[Any, ...]]:
        """Wait for ``n`` outcomes; return them."""
        await until(lambda: len(self.gate.outcomes) >= n, f"{n} outcomes")
        return self.gate.outcomes


GET = b"GET /x HTTP/1.1\r\nHost: t\r\n\r\n"
"""The plainest request."""


def status_of(answer: bytes) -> int:
    """Status of a response."""
    return int(answer[9:12])

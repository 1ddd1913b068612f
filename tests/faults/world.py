"""The whole of Governor in one loop with raw callers and raw services, and a leak check at the end.

Nothing is replaced: the runtime's own gate, signals, pools and tick run, as in a process of its
own; only here a test can look inside. Events order the tests, never sleeps.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

from governor.config.model import Config
from governor.core.gate import Gate
from governor.proxy.pool import EndpointPool
from governor.runtime import Runtime
from policies.decision import Outcome
from tests.proxy.rig import Handler, Peer, Service, answering, until


class World:
    """Governor in front of one upstream; checks on leaving that nothing leaked.

    The upstream has as many services as there are `others`, and one; `spare` is its fallback.

    `outcomes` is what the gate's ledger has booked, by name; every test states it exactly.
    """

    def __init__(
        self,
        handler: Handler | None = None,
        *,
        url: str = "",
        listener: dict[str, Any] | None = None,
        upstream: dict[str, Any] | None = None,
        route: dict[str, Any] | None = None,
        others: Sequence[Handler] = (),
        spare: Handler | None = None,
        **config: Any,
    ) -> None:
        self.service = Service(handler or answering())
        self.services = [self.service, *map(Service, others)]
        self.spare = Service(spare) if spare is not None else None
        self.callers: list[Peer] = []
        self.complaints: list[dict[str, Any]] = []
        self.runtime: Runtime
        self._url = url
        self._listener = listener or {}
        self._upstream = upstream or {}
        self._route = route or {}
        self._config = {"decision_headers": "off", **config}
        self._gc_threshold = gc.get_threshold()

    async def __aenter__(self) -> Self:
        asyncio.get_running_loop().set_exception_handler(self._complain)
        for service in self.services:
            await service.start()
        urls = [self._url or self.service.url, *(x.url for x in self.services[1:])]
        upstreams = {"service": {"endpoints": urls, **self._upstream}}
        if self.spare is not None:
            await self.spare.start()
            upstreams["service"]["fallback"] = "spare"
            upstreams["spare"] = {"endpoints": [self.spare.url]}
        config = Config.model_validate(
            {
                "listeners": [{"address": "127.0.0.1:0", **self._listener}],
                "admin": {"address": None},
                "upstreams": upstreams,
                "routes": [{"upstream": "service", **self._route}],
                "access_log": {"mode": "off"},
                **self._config,
            }
        )
        self.runtime = Runtime(config)
        await self.runtime.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            for caller in self.callers:
                caller.close()
            if exc[0] is None:
                await self.settled()
        finally:
            await self.runtime.close()
            for service in self.services:
                await service.stop()
            if self.spare is not None:
                await self.spare.stop()
            gc.set_threshold(*self._gc_threshold)
        if exc[0] is None:
            await until(
                lambda: not any(x.n_open for x in self.pools), "the upstream connections close"
            )
            await until(lambda: len(asyncio.all_tasks()) == 1, f"tasks end: {asyncio.all_tasks()}")
            assert not self.complaints, self.complaints

    def _complain(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Note what the loop complains about, but for a test's service that writes to the dead."""
        error = context.get("exception")
        if not (isinstance(error, RuntimeError) and "client_connected_cb" in context["message"]):
            self.complaints.append(context)

    async def settled(self) -> None:
        """Wait until nothing is under way, and check that nothing of it is left."""
        proxy, stats = self.runtime.proxy, self.runtime.stats
        gates = self.runtime.gates.values()
        await until(lambda: not proxy.connections, "the callers' connections close")
        await until(
            lambda: not any(x.in_flight or x.line_length for x in gates), repr(self.outcomes)
        )
        await until(lambda: not any(x.n_connecting for x in self.pools), "connecting ends")
        assert not proxy.abandoned
        assert not proxy.tunnels
        assert not proxy.flights
        await until(lambda: not proxy.watched, "what was absorbed has been read")
        assert stats.n_connections == 0
        assert all(x.n_open == x.n_idle for x in self.pools), repr(self.pools)
        assert stats.n_faults == 0
        assert not any(gate.ledger.n_faults for gate in gates)
        identities = self.runtime.identities
        for table in (identities.tenants, identities.flows, identities.trees):
            assert not any(table.n_open), table.prefix
        for ledger in (gate.ledger for gate in gates):
            n_ended = sum(ledger.n_by_outcome) + sum(ledger.n_answered.values())
            assert ledger.n_arrived == n_ended + ledger.n_left_waiting + ledger.n_diverted

    @property
    def gate(self) -> Gate:
        """The service's gate."""
        return self.runtime.gates["service"]

    @property
    def pool(self) -> EndpointPool:
        """The connections to the service's only endpoint."""
        return self.runtime.pools["service"][0]

    @property
    def pools(self) -> list[EndpointPool]:
        """The connections to all services."""
        return [pool for pools in self.runtime.pools.values() for pool in pools]

    @property
    def outcomes(self) -> dict[str, int]:
        """How leases have ended so far."""
        booked = Counter({Outcome(n).name: k for n, k in enumerate(self.gate.ledger.n_by_outcome)})
        booked["LEFT_WAITING"] = self.gate.ledger.n_left_waiting
        return {name: n for name, n in booked.items() if n}

    async def connect(self) -> Peer:
        """A raw connection to Governor."""
        address = self.runtime.proxy.addresses[0]
        reader, writer = await asyncio.open_connection(address.host, address.port, limit=1 << 22)
        peer = Peer(reader, writer)
        self.callers.append(peer)
        return peer

    async def send(self, data: bytes) -> Peer:
        """Connect and send; return the connection."""
        peer = await self.connect()
        peer.send(data)
        return peer

    async def ask(self, data: bytes) -> bytes:
        """Send on a connection of its own; return everything that comes until it ends."""
        return await (await self.send(data)).rest()


def write_now(peer: Peer, data: bytes) -> None:
    """Hand bytes to the kernel before the loop turns: uvloop would gather them."""
    descriptor = os.dup(peer.writer.get_extra_info("socket").fileno())
    with socket.socket(fileno=descriptor) as own:
        assert own.send(data) == len(data)


def get(target: bytes = b"/x", *fields: bytes) -> bytes:
    """A request without a body on a connection that goes on."""
    return b"\r\n".join((b"GET %b HTTP/1.1" % target, b"Host: t", *fields)) + b"\r\n\r\n"


def get_once(target: bytes = b"/x", *fields: bytes) -> bytes:
    """A request that ends its connection."""
    return get(target, b"Connection: close", *fields)


def post(body: bytes = b"body", *fields: bytes, length: int = -1) -> bytes:
    """A request that is not idempotent; `length` may promise more than `body`."""
    n_bytes = len(body) if length < 0 else length
    lines = (b"POST /x HTTP/1.1", b"Host: t", b"Content-Length: %d" % n_bytes, *fields)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


POST_CHUNKED = b"POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"


def decode_chunks(wire: bytes) -> bytes:
    """Return the body of a whole chunked message."""
    body = b""
    while True:
        line, _, wire = wire.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if not size:
            return body
        body += wire[:size]
        wire = wire[size + 2 :]

"""Kept upstream connections: bounded, closed in time, replaced once where found dead."""

from __future__ import annotations

import asyncio

import pytest

from policies.decision import Outcome
from tests.proxy.rig import GET, Peer, Rig, ok, on_loop, status_of, until
from tests.proxy.services import holding_back


@on_loop
async def test_bytes_on_an_idle_connection_close_it() -> None:
    """An answer to no request is never the answer to the next one."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(ok())
        await peer.writer.drain()
        await again.wait()
        peer.send(ok(b"evil"))
        await peer.rest()

    async with Rig(handle) as rig:
        again = asyncio.Event()
        peer = await rig.connect()
        peer.send(GET)
        await peer.answer()
        again.set()
        await until(lambda: rig.pools[0].n_open == 0)
        peer.send(GET)
        assert (await peer.answer())[1] == b"ok"


def closing_once_idle(n_kept: int) -> tuple[Rig, asyncio.Event]:
    """A service whose first connections die unseen after one answer, when told."""
    die = asyncio.Event()

    async def handle(peer: Peer) -> None:
        is_first = len(rig.service.peers) <= n_kept
        while True:
            _, body = await peer.answer()
            if is_first and die.is_set():
                peer.reset()  # dies on its second request, before a byte of its answer
                return
            peer.send(ok(b"fresh" if not is_first else body or b"old"))

    rig = Rig(handle)
    return rig, die


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
@on_loop
async def test_a_kept_connection_found_dead_is_replaced_once(method: bytes) -> None:
    """An idempotent request goes again on a fresh connection, in one lease, unseen."""
    rig, die = closing_once_idle(1)
    async with rig:
        peer = await rig.connect()
        peer.send(GET)
        await peer.answer()
        die.set()
        length = b"Content-Length: 2\r\n\r\nhi" if method == b"PUT" else b"\r\n"
        peer.send(method + b" / HTTP/1.1\r\nHost: t\r\n" + length)
        head = await peer.head()
        assert status_of(head) == 200
        if method != b"HEAD":
            assert await peer.exactly(5) == b"fresh"
        assert await rig.settled(2) == [(Outcome.COMPLETED, 200)] * 2
        assert rig.stats.n_retried_on_dead == 1


@on_loop
async def test_a_post_is_never_sent_twice() -> None:
    """A POST on a connection that dies under it is 502: it may have been acted on."""
    rig, die = closing_once_idle(1)
    async with rig:
        peer = await rig.connect()
        peer.send(GET)
        await peer.answer()
        die.set()
        peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi")
        head, _ = await peer.answer()
        assert status_of(head) == 502
        assert len(rig.service.peers) == 1
        assert rig.stats.n_retried_on_dead == 0


@on_loop
async def test_a_connection_that_died_while_idle_is_never_used() -> None:
    """An upstream's close of an idle connection is noticed at once."""

    async def handle(peer: Peer) -> None:
        await peer.answer()
        peer.send(ok())

    async with Rig(handle) as rig:
        peer = await rig.connect()
        for n in range(1, 4):
            peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi")
            assert (await peer.answer())[1] == b"ok"
            await until(lambda: rig.pools[0].n_open == 0)
            assert len(rig.service.peers) == n


@on_loop
async def test_a_replay_is_tried_once_only() -> None:
    """Two dead connections in a row are 502."""

    async def handle(peer: Peer) -> None:
        if len(rig.service.peers) == 1:
            await peer.head()
            peer.send(ok())
        await peer.head()
        peer.reset()

    rig = Rig(handle)
    async with rig:
        peer = await rig.connect()
        peer.send(GET)
        await peer.answer()
        peer.send(GET)
        assert status_of((await peer.answer())[0]) == 502
        assert len(rig.service.peers) == 2
        assert len(await rig.settled(2)) == 2


@on_loop
async def test_the_connections_of_an_upstream_are_bounded() -> None:
    """Above max_connections a request is answered 503 and nothing more is opened."""
    rig, go = holding_back()
    rig._upstream["max_connections"] = 1
    async with rig:
        first, second = await rig.connect(), await rig.connect()
        first.send(GET)
        await until(lambda: rig.service.peers)
        second.send(GET)
        head, body = await second.answer()
        assert status_of(head) == 503
        assert b"upstream_connections_exhausted" in body
        go.set()
        await first.answer()
        assert len(rig.service.peers) == 1


@on_loop
async def test_an_idle_upstream_connection_is_closed_in_time() -> None:
    """keepalive_timeout closes it from this side, before the service does."""
    async with Rig(upstream={"keepalive_timeout_s": 0.1}) as rig:
        peer = await rig.connect()
        peer.send(GET)
        await peer.answer()
        assert rig.pools[0].n_idle == 1
        await until(lambda: rig.pools[0].n_open == 0)

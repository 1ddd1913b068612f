"""After a 101 both connections are one, in both directions, to the last byte."""

from __future__ import annotations

import asyncio

import pytest

from policies.decision import Outcome
from tests.proxy.rig import Peer, Rig, on_loop, status_of, until

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: abc\r\nSec-WebSocket-Protocol: p\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: def\r\nSec-WebSocket-Protocol: p\r\n\r\n"
)


async def echo(peer: Peer) -> None:
    """Switch, then send back what comes, until its end."""
    head = await peer.head()
    assert b"Connection: Upgrade\r\n" in head
    assert b"Upgrade: websocket\r\n" in head
    peer.send(SWITCH + b"early")
    while data := await peer.some():
        peer.send(data)
        await peer.writer.drain()


@on_loop
async def test_bytes_pass_unread_both_ways() -> None:
    """The 101 comes whole, bytes sent early on either side are not lost, nor any later ones."""
    async with Rig(echo) as rig:
        peer = await rig.connect()
        peer.send(UPGRADE + b"GET /not-http")
        assert await peer.head() == SWITCH
        assert await peer.exactly(18) == b"earlyGET /not-http"
        for n in range(50):
            peer.send(b"\x81\x00%d\r\n\r\n" % n)
            assert await peer.exactly(6 + len(b"%d" % n)) == b"\x81\x00%d\r\n\r\n" % n
        assert rig.stats.n_tunnels == 1
        assert rig.gate.events == [("answered", 101)]
        peer.close()
        assert await rig.settled() == [(Outcome.COMPLETED, 101)]
        assert rig.stats.n_tunnels == 0


@on_loop
async def test_the_end_of_one_direction_leaves_the_other_open() -> None:
    """A caller may end its bytes and still get all that the upstream has to say."""

    async def handle(peer: Peer) -> None:
        await peer.head()
        peer.send(SWITCH)
        got = await peer.rest()
        peer.send(b"%d" % len(got))

    async with Rig(handle) as rig:
        peer = await rig.connect()
        peer.send(UPGRADE)
        await peer.head()
        peer.send(b"x" * 100_000)
        peer.writer.write_eof()
        assert await peer.rest() == b"100000"
        assert await rig.settled() == [(Outcome.COMPLETED, 101)]


@pytest.mark.parametrize("is_caller", [False, True])
@on_loop
async def test_the_loss_of_one_side_ends_the_other(is_caller: bool) -> None:
    """A reset of either connection ends both, and the lease."""
    async with Rig(echo) as rig:
        peer = await rig.connect()
        peer.send(UPGRADE)
        await peer.head()
        await peer.exactly(5)
        (peer if is_caller else rig.service.peers[0]).reset()
        assert await rig.settled() == [(Outcome.COMPLETED, 101)]
        if not is_caller:
            assert await peer.rest() == b""
        await until(lambda: not rig.server.tunnels)


@on_loop
async def test_a_tunnel_has_back_pressure() -> None:
    """A side that does not read stops the other's sending in bounded memory."""
    total = 20_000_000

    async with Rig(echo) as rig:
        peer = await rig.connect()
        peer.send(UPGRADE)
        await peer.head()
        await peer.exactly(5)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(b"x" * total)
        await asyncio.sleep(0.2)
        for tunnel in rig.server.tunnels:
            for transport in tunnel.transports:
                assert transport.get_write_buffer_size() < 2_000_000
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await peer.exactly(total)) == total


@on_loop
async def test_an_upgrade_refused_is_an_ordinary_answer() -> None:
    """Without a 101 nothing is spliced, and the connection goes on."""

    async def handle(peer: Peer) -> None:
        while True:
            await peer.head()
            peer.send(
                b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"
            )

    async with Rig(handle) as rig:
        peer = await rig.connect()
        for _ in range(2):
            peer.send(UPGRADE)
            head = await peer.head()
            assert status_of(head) == 426
            assert b"Upgrade: websocket" in head
        assert await rig.settled(2) == [(Outcome.COMPLETED, 426)] * 2

"""Many callers and a service that do everything wrong at once; afterwards nothing is left."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.faults.world import POST_CHUNKED, World, decode_chunks, get, post
from tests.proxy.rig import Peer, ok, on_loop, status_of

N_CALLERS = 60
N_REQUESTS = 8


class Chaotic:
    """A service that answers well, slowly, badly, in part, or not at all, by its own dice."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    async def __call__(self, peer: Peer) -> None:
        while True:
            head = await peer.head()
            if b"chunked" in head:
                try:
                    await peer.chunked()
                except ValueError:  # the end of the connection instead of a size
                    return
            elif b"Content-Length" in head:
                await peer.exactly(4)
            act = self.dice.randrange(12)
            await asyncio.sleep(self.dice.random() * 0.004)
            target = head.split(b" ")[1]
            if act == 0:
                peer.reset()
                return
            if act == 1:
                return
            if act == 2:
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                return
            if act == 3:
                peer.send(b"HTTP/1.1 2")
                peer.reset()
                return
            if act == 4:
                peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
                continue
            if act == 5:
                peer.send(b"not HTTP at all\r\n\r\n")
                return
            if act == 6:
                peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for byte in target:
                    peer.send(b"1\r\n%c\r\n" % byte)
                    await asyncio.sleep(0)
                peer.send(b"0\r\n\r\n")
                continue
            peer.send(ok(target))


async def call(world: World, number: int, seed: int, good: list[bytes]) -> None:
    """Send requests, leave some; check that each answer that is whole is the own one."""
    dice = random.Random(seed * 1_000 + number)
    peer = await world.connect()
    for n in range(N_REQUESTS):
        target = b"/caller-%d-request-%d" % (number, n)
        data = dice.choice(
            [get(target), post().replace(b"/x", target), POST_CHUNKED.replace(b"/x", target)]
        )
        if b"chunked" in data:
            data += b"4\r\nbody\r\n0\r\n\r\n"
        way = dice.randrange(8)
        if way == 0:
            peer.send(data[: dice.randrange(len(data))])
        else:
            peer.send(data)
        if way <= 2:
            await asyncio.sleep(dice.random() * 0.004)
            dice.choice([peer.reset, peer.close])()
            peer = await world.connect()
            continue
        try:
            head = await peer.head()
            if b"chunked" in head:
                body = decode_chunks(await peer.chunked())
            else:
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                body = await peer.exactly(int(length))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            peer.close()
            peer = await world.connect()
            continue
        if status_of(head) == 200:
            assert body == target
            good.append(target)
        if b"connection: close" in head.lower():
            peer.close()
            peer = await world.connect()
    peer.close()


@pytest.mark.parametrize("limit", [3, "auto"])
@pytest.mark.parametrize("seed", range(3))
@on_loop
async def test_after_any_chaos_nothing_is_left(seed: int, limit: int | str) -> None:
    """Every answer that arrives whole is its caller's own; then no lease, connection or task."""
    good: list[bytes] = []
    upstream = {"limit": limit, "abandoned_timeout": 1, "max_wait": 2}
    async with World(Chaotic(seed), upstream=upstream) as world:
        async with asyncio.TaskGroup() as group:
            for number in range(N_CALLERS):
                group.create_task(call(world, number, seed, good))
        await world.settled()
        assert len(good) == len(set(good))
        assert len(good) > N_CALLERS
        assert world.gate.ledger.n_by_outcome[0] >= len(good)

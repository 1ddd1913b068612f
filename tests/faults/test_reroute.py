"""Several services behind one upstream: one dies, and no request is lost or sent twice."""

from __future__ import annotations

import asyncio

import pytest

from governor.core.spread import SpreadGate
from policies.ejection import REST_NS
from tests.faults.world import World, get, get_once, post
from tests.proxy.rig import Handler, Peer, answering, ok, on_loop, status_of, until

DOWN = "http://127.0.0.1:1"
"""Nobody listens on a port that only the system may open."""


def counting(seen: list[bytes], answer: bytes = ok()) -> Handler:
    """Answer every request alike, and remember its first line."""

    async def handle(peer: Peer) -> None:
        while True:
            head, _ = await peer.answer()
            seen.append(head.partition(b"\r\n")[0])
            peer.send(answer)

    return handle


def dying(seen: list[bytes]) -> Handler:
    """Read a request, remember it, and close without an answer."""

    async def handle(peer: Peer) -> None:
        head, _ = await peer.answer()
        seen.append(head.partition(b"\r\n")[0])

    return handle


def gate_of(world: World) -> SpreadGate:
    """Return the gate of the upstream under test."""
    gate = world.gate
    assert isinstance(gate, SpreadGate)
    return gate


@pytest.mark.parametrize("request_bytes", [get_once(), post(b"body", b"Connection: close")])
@on_loop
async def test_a_refused_connection_goes_to_the_other(request_bytes: bytes) -> None:
    """Nothing was sent, so any method goes elsewhere; the dead endpoint is soon left alone."""
    seen: list[bytes] = []
    async with World(url=DOWN, others=[counting(seen)]) as world:
        for _ in range(20):
            assert status_of(await world.ask(request_bytes)) == 200
        await world.settled()
        assert len(seen) == 20
        assert world.outcomes == {"COMPLETED": 20}
        assert world.gate.endpoints[0].health.n_failures >= 1
        assert world.gate.ledger.n_rerouted == world.runtime.stats.n_connect_failures


@on_loop
async def test_the_body_goes_along() -> None:
    """A body that was held for a connection reaches the other endpoint whole, once."""
    bodies: list[bytes] = []

    async def handle(peer: Peer) -> None:
        while True:
            _, body = await peer.answer()
            bodies.append(body)
            peer.send(ok())

    async with World(url=DOWN, others=[handle]) as world:
        for n in range(8):
            answer = await world.ask(post(b"x" * 10_000 + b"%d" % n, b"Connection: close"))
            assert status_of(answer) == 200
        assert bodies == [b"x" * 10_000 + b"%d" % n for n in range(8)]


@on_loop
async def test_an_idempotent_call_without_an_answer_is_repeated_elsewhere() -> None:
    """A GET whose connection ends before a byte goes to the other endpoint, once."""
    lost: list[bytes] = []
    seen: list[bytes] = []
    async with World(dying(lost), others=[counting(seen)]) as world:
        for _ in range(12):
            assert status_of(await world.ask(get_once())) == 200
        await world.settled()
        assert len(seen) == 12
        assert 1 <= len(lost) <= 5 + 1  # then it is out of use, but for a probe
        assert world.outcomes == {"COMPLETED": 12}


@on_loop
async def test_a_post_is_never_sent_twice() -> None:
    """What may have been acted on is answered 502: the services see each call at most once."""
    lost: list[bytes] = []
    seen: list[bytes] = []
    async with World(dying(lost), others=[counting(seen)]) as world:
        statuses = [
            status_of(await world.ask(post(b"b", b"Connection: close", length=1)))
            for _ in range(12)
        ]
        await world.settled()
        assert statuses.count(502) == len(lost)
        assert statuses.count(200) == len(seen)
        assert len(lost) + len(seen) == 12


@on_loop
async def test_an_answer_that_has_begun_is_not_repeated() -> None:
    """After the first byte the caller gets what there is, and the services see it once."""
    seen: list[bytes] = []

    async def half(peer: Peer) -> None:
        head, _ = await peer.answer()
        seen.append(head)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        await peer.writer.drain()

    async with World(half, others=[half]) as world:
        answer = await world.ask(get_once())
        assert answer.endswith(b"12345")
        assert len(seen) == 1
        await world.settled()
        assert world.outcomes == {"FAILED": 1}


@on_loop
async def test_when_all_are_down_the_caller_is_told_at_once() -> None:
    """Each endpoint is tried once, then 502 as ever."""
    async with World(upstream={"endpoints": [DOWN, "http://127.0.0.1:2"]}) as world:
        answer = await world.ask(get_once())
        assert status_of(answer) == 502
        assert b'"upstream_connect_failed"' in answer
        await world.settled()
        assert world.runtime.stats.n_connect_failures == 2
        assert world.outcomes == {"UNSENT": 1}


@on_loop
async def test_one_of_three_is_killed_in_mid_run() -> None:
    """GETs all succeed; POSTs fail only where one was under way; none is seen twice."""
    n_callers, n_calls = 24, 30
    seen: list[bytes] = []

    async def slow(peer: Peer) -> None:
        while True:
            head, _ = await peer.answer()
            seen.append(head.partition(b" HTTP")[0])
            await asyncio.sleep(0.003)
            peer.send(ok())

    async with World(slow, others=[slow, slow], upstream={"limit": 6}) as world:
        lost: list[bytes] = []

        async def call(caller: int) -> None:
            peer = await world.connect()
            for n in range(n_calls):
                method = b"POST" if caller % 3 == 0 else b"GET"
                target = b"/%d/%d" % (caller, n)
                peer.send(
                    b"%b %b HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n" % (method, target)
                )
                status = status_of((await peer.answer())[0])
                if status != 200:
                    assert status == 502
                    lost.append(method + b" " + target)

        async def kill() -> None:
            await until(lambda: len(seen) > 150, "the run is under way")
            victim = world.services[1]
            await victim.stop()
            for peer in victim.peers:
                peer.reset()

        await asyncio.gather(kill(), *(call(n) for n in range(n_callers)))
        assert all(what.startswith(b"POST") for what in lost)
        assert len(lost) <= 6  # as many as its limit lets be under way
        posts = [what for what in seen if what.startswith(b"POST")]
        assert len(posts) == len(set(posts)), "a POST was sent twice"
        assert world.gate.endpoints[1].is_out
        for peer in world.callers:
            peer.close()
        await world.settled()
        assert sum(world.outcomes.values()) == n_callers * n_calls


@on_loop
async def test_it_returns_when_it_is_back() -> None:
    """A probe finds the service that was started again, and the ramp begins."""
    seen: list[bytes] = []
    async with World(others=[answering()]) as world:
        service = world.service
        port = int(service.url.rpartition(":")[2])
        await service.stop()
        endpoint = world.gate.endpoints[0]
        while not endpoint.is_out:
            assert status_of(await world.ask(get_once())) == 200
        service.handler = counting(seen)
        await service.start(port=port)
        endpoint.health.rests_until_ns -= REST_NS  # as if it had rested
        assert status_of(await world.ask(get_once())) == 200
        assert len(seen) == 1
        assert endpoint.health.state == "ramping"


@on_loop
async def test_the_fallback_takes_over() -> None:
    """A single service that is down: its calls go to the fallback, the first ones as well."""
    seen: list[bytes] = []
    async with World(url=DOWN, spare=counting(seen)) as world:
        for n in range(6):
            request = post(b"%d" % n, b"Connection: close") if n % 2 else get_once()
            assert status_of(await world.ask(request)) == 200
        await world.settled()
        assert len(seen) == 6
        assert world.gate.ledger.n_diverted == 6
        spare = world.runtime.gates["spare"].ledger
        assert (spare.n_arrived, spare.n_by_outcome[0]) == (6, 6)
        assert world.runtime.stats.n_connect_failures == 2  # then it is left alone
        assert gate_of(world).routing.is_down


@on_loop
async def test_those_who_wait_go_to_the_fallback() -> None:
    """A service that dies with a line before it: who waited is served by the fallback."""
    seen: list[bytes] = []
    is_over = asyncio.Event()

    async def stuck(peer: Peer) -> None:
        await peer.head()
        await is_over.wait()

    async with World(stuck, upstream={"limit": 1}, spare=counting(seen)) as world:
        first = await world.send(post(b"x"))
        await until(lambda: world.service.peers, "the first is sent")
        others = [await world.send(get()) for _ in range(3)]
        await until(lambda: world.gate.line_length == 3, "the others wait")
        await world.service.stop()
        for _ in range(2):
            world.gate.endpoints[0].health.failed(world.gate.now_ns, object(), is_unreached=True)
        for caller in others:
            assert status_of((await caller.answer())[0]) == 200
        assert len(seen) == 3
        is_over.set()
        assert status_of((await first.answer())[0]) == 502


@on_loop
async def test_a_caller_that_leaves_while_it_is_moved() -> None:
    """Moved back into the line, a request whose caller goes is gone from it."""
    is_over = asyncio.Event()

    async def stuck(peer: Peer) -> None:
        await peer.head()
        await is_over.wait()
        peer.send(ok())

    async with World(url=DOWN, others=[stuck], upstream={"limit": 1}) as world:
        first = await world.send(get())
        await until(lambda: world.services[1].peers, "the first is sent")
        second = await world.send(get())
        await until(lambda: world.gate.line_length == 1, "the second waits")
        second.close()
        await until(lambda: world.gate.line_length == 0, "it is gone")
        is_over.set()
        assert status_of((await first.answer())[0]) == 200
        first.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1, "LEFT_WAITING": 1}


@on_loop
async def test_an_affinity_by_header() -> None:
    """Requests with the same value of the header meet the same service."""
    seen: list[list[bytes]] = [[], [], []]
    handlers = [counting(x) for x in seen]
    async with World(handlers[0], others=handlers[1:], route={"affinity": "X-Session"}) as world:
        for session in range(12):
            for _ in range(3):
                field = b"X-Session: s%d" % session
                assert status_of(await world.ask(get_once(b"/%d" % session, field))) == 200
        for lines in seen:
            assert all(lines.count(line) == 3 for line in lines)
        assert sum(bool(lines) for lines in seen) >= 2

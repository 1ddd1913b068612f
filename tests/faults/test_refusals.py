"""What becomes of an upstream's 429 and 503 on the wire: as it came, with a slot, or waited out."""

from __future__ import annotations

import asyncio
import re
from time import monotonic_ns

import pytest

from governor.proxy.stats import RequestRecord
from tests.faults.world import World, decode_chunks, get, get_once, post
from tests.proxy.rig import Handler, Peer, on_loop, status_of, until

MS = 1_000_000

REFUSAL = b"HTTP/1.1 429 Slow Down\r\nX-Own: 1\r\n%bContent-Length: 4\r\nVia: x\r\n\r\nbusy"


def refusing(answer: bytes) -> Handler:
    """Answer everything the same, bytes as they are."""

    async def handle(peer: Peer) -> None:
        while True:
            await peer.answer()
            peer.send(answer)

    return handle


def begin_storm(world: World) -> None:
    """One invitation is out for a time beyond every test: so refusals come as a storm."""
    assert world.gate.reservations.invite(monotonic_ns(), -1, 1e3, 0.0, 50_000 * MS)


def refusing_first(n: int, refusal: bytes, answer: bytes, seen: list[bytes]) -> Handler:
    """Refuse the first ``n`` requests, answer the others; note every one of them."""

    async def handle(peer: Peer) -> None:
        while True:
            head, body = await peer.answer()
            seen.append(head.split(b"\r\n")[0] + b" " + body)
            peer.send(refusal if len(seen) <= n else answer)

    return handle


def field(answer: bytes, name: bytes) -> bytes | None:
    """The value of the only field of that name in an answer's head."""
    head = answer.partition(b"\r\n\r\n")[0]
    found = re.findall(rb"\r\n%b:[ ]*([^\r\n]*)" % re.escape(name), head, re.IGNORECASE)
    assert len(found) < 2, found
    return found[0] if found else None


@pytest.mark.parametrize("asked", [b"", b"Retry-After: 3\r\n", b"retry-after-ms: 1700\r\n"])
@on_loop
async def test_outside_a_storm_a_refusal_goes_on_as_it_came(asked: bytes) -> None:
    """Four refusals in a second are the upstream's business, to the byte."""
    answer = REFUSAL % asked
    async with World(refusing(answer)) as world:
        for _ in range(4):
            caller = await world.send(get())
            head, body = await caller.answer()
            assert head + body == answer
            caller.close()
        await world.settled()
        assert world.outcomes == {"REFUSED": 4}
        assert world.gate.refused.n_slots == 0


@pytest.mark.parametrize(
    ("asked", "earliest_ms"),
    [
        (b"", 0),
        (b"Retry-After: 2\r\n", 2_000),
        (b"retry-after: 1\r\nRETRY-AFTER-MS: 2500\r\n", 2_500),
        (b"x-amz-retry-after: 3000\r\n", 3_000),
    ],
)
@on_loop
async def test_in_a_storm_each_caller_has_its_own_slot(asked: bytes, earliest_ms: int) -> None:
    """All of them: distinct, spread, never before the upstream's wish, the rest untouched."""
    async with World(refusing(REFUSAL % asked)) as world:
        begin_storm(world)
        for n in range(12):
            answer = await world.ask(get_once(b"/%d" % n))
            assert status_of(answer) == 429
            assert answer.endswith(b"busy")
            assert field(answer, b"X-Own") == b"1"
            assert field(answer, b"Via") == b"x"
            assert field(answer, b"X-Should-Retry") is None
            millis = int(field(answer, b"Retry-After-Ms") or b"0")
            assert earliest_ms <= millis <= 60_000
            assert int(field(answer, b"Retry-After") or b"0") == -(-millis // 1_000)
            amz = field(answer, b"x-amz-retry-after")
            assert amz == (b"%d" % millis if b"amz" in asked else None)
        given = world.runtime.decision_log.last(100)[::-1]
        assert {entry.reason for entry in given} == {"slot_given"}
        slots = [entry.at_ns + entry.retry_after_ns for entry in given]
        assert len(set(slots)) == 12
        assert world.gate.refused.n_slots == 12
        await world.settled()


@on_loop
async def test_many_refusals_at_once_are_a_storm() -> None:
    """Ten callers refused in one moment: the first four as it was, the others with slots."""
    together = asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.head()
        await together.wait()
        peer.send(REFUSAL % b"Retry-After: 1\r\n")

    async with World(handle) as world:
        callers = [await world.send(get()) for _ in range(10)]
        await until(lambda: world.gate.in_flight == 10)
        together.set()
        heads = [(await caller.answer())[0] for caller in callers]
        assert sum(b"Retry-After-Ms" in head for head in heads) == 6
        for caller in callers:
            caller.close()
        await world.settled()


@on_loop
async def test_head_and_old_callers_get_slots_too() -> None:
    """Neither the missing body nor HTTP/1.0 is in the way."""
    async with World(refusing(REFUSAL % b"Retry-After: 1\r\n")) as world:
        begin_storm(world)
        old = await world.ask(get_once().replace(b"GET", b"HEAD"))
        assert int(field(old, b"Retry-After-Ms") or b"0") >= 1_000
        answer = await world.ask(b"GET / HTTP/1.0\r\nHost: t\r\n\r\n")
        assert int(field(answer, b"Retry-After-Ms") or b"0") >= 1_000
        assert answer.endswith(b"\r\n\r\nbusy")
        await world.settled()


@on_loop
async def test_a_streamed_refusal_keeps_its_body() -> None:
    """A chunked body follows its rewritten head untouched."""
    answer = (
        b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    async with World(refusing(answer)) as world:
        begin_storm(world)
        got = await world.ask(get_once())
        head, _, body = got.partition(b"\r\n\r\n")
        assert decode_chunks(body) == b"abcde"
        assert b"Retry-After-Ms" in head
        await world.settled()


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        (b"Retry-After: 3600\r\n", ()),
        (b"Retry-After: 5\r\n", (b"X-Governor-Deadline-Ms: 2000",)),
    ],
    ids=["horizon", "deadline"],
)
@on_loop
async def test_who_cannot_be_helped_is_told_so(asked: bytes, fields: tuple[bytes, ...]) -> None:
    """X-Should-Retry: false is added, and the upstream's own words stay."""
    async with World(refusing(REFUSAL % asked)) as world:
        begin_storm(world)
        answer = await world.ask(get_once(b"/x", *fields))
        assert field(answer, b"X-Should-Retry") == b"false"
        assert field(answer, b"Retry-After") == asked.strip().partition(b": ")[2]
        assert field(answer, b"Retry-After-Ms") is None
        assert world.gate.refused.n_slots == 0
        await world.settled()


@on_loop
async def test_an_upstream_that_says_no_is_not_contradicted() -> None:
    """Its own x-should-retry: false stays alone, and nobody is invited."""
    answer = REFUSAL % b"x-should-retry: false\r\n"
    async with World(refusing(answer)) as world:
        begin_storm(world)
        caller = await world.send(get())
        head, body = await caller.answer()
        assert head + body == answer
        caller.close()
        assert world.gate.reservations.n_outstanding == 1
        await world.settled()


@pytest.mark.parametrize("request_bytes", [get(), post(), post(b"", length=0)])
@on_loop
async def test_a_short_refusal_is_waited_out(request_bytes: bytes) -> None:
    """Refused twice, answered then: the caller sees the answer only, the connection is kept."""
    seen: list[bytes] = []
    refusal = REFUSAL % b"Retry-After-Ms: 20\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
    handler = refusing_first(2, refusal, answer, seen)
    async with World(handler, route={"absorb": "2s"}) as world:
        caller = await world.send(request_bytes)
        head, body = await caller.answer()
        assert head + body == answer
        assert len(seen) == 3
        assert len(set(seen)) == 1
        assert len(world.service.peers) == 1
        assert world.gate.refused.n_absorbed == 2
        assert world.gate.refused.n_parked == 0
        caller.close()
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1}
        assert world.gate.ledger.refused_s > 0.0
        assert not world.runtime.proxy.watched


@on_loop
async def test_a_body_that_comes_late_is_sent_again_whole() -> None:
    """Head and body in segments of their own: the second try has all of it."""
    seen: list[bytes] = []
    refusal = REFUSAL % b""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
    async with World(refusing_first(1, refusal, answer, seen), route={"absorb": "2s"}) as world:
        head, body = post(b"0123456789")[:-10], b"0123456789"
        caller = await world.send(head)
        await until(lambda: world.gate.in_flight == 1)
        caller.send(body[:5])
        await asyncio.sleep(0)
        caller.send(body[5:])
        assert (await caller.answer())[1] == b"good"
        assert seen == [b"POST /x HTTP/1.1 0123456789"] * 2
        caller.close()
        await world.settled()


@pytest.mark.parametrize(
    ("asked", "request_bytes"),
    [
        (b"Retry-After: 3\r\n", get()),
        (b"Retry-After: 2\r\n", get(b"/x", b"X-Governor-Deadline-Ms: 1000")),
        (b"", post(b"x" * 65_537)),
    ],
    ids=["longer than allowed", "longer than patience", "a body too large to hold"],
)
@on_loop
async def test_what_cannot_be_waited_out_is_handed_on(asked: bytes, request_bytes: bytes) -> None:
    """The refusal itself, to the byte."""
    answer = REFUSAL % asked
    async with World(refusing(answer), route={"absorb": "2s"}) as world:
        caller = await world.send(request_bytes)
        head, body = await caller.answer()
        assert head + body == answer
        caller.close()
        await world.settled()
        assert world.outcomes == {"REFUSED": 1}


@on_loop
async def test_three_times_and_no_more() -> None:
    """The fourth refusal is the upstream's last word."""
    seen: list[bytes] = []
    refusal = REFUSAL % b"Retry-After-Ms: 10\r\n"
    async with World(refusing_first(9, refusal, b"", seen), route={"absorb": "2s"}) as world:
        caller = await world.send(get())
        assert status_of((await caller.answer())[0]) == 429
        assert len(seen) == 4
        caller.close()
        await world.settled()
        assert world.outcomes == {"REFUSED": 1}


@on_loop
async def test_who_leaves_while_absorbed_is_gone_at_once() -> None:
    """Nothing is sent again for a caller that has left."""
    seen: list[bytes] = []
    refusal = REFUSAL % b"Retry-After: 1\r\n"
    async with World(refusing_first(9, refusal, b"", seen), route={"absorb": "2s"}) as world:
        caller = await world.send(get())
        await until(lambda: world.gate.refused.n_parked == 1)
        assert world.gate.in_flight == 0
        caller.close()
        await until(lambda: world.gate.refused.n_parked == 0)
        await world.settled()
        assert world.outcomes == {"LEFT_WAITING": 1}
        assert len(seen) == 1


@on_loop
async def test_an_absorbed_answer_without_end_costs_only_its_connection() -> None:
    """The rest of a refusal is read up to a bound; the request is served meanwhile."""
    n_heads = 0

    async def handle(peer: Peer) -> None:
        nonlocal n_heads
        await peer.head()
        n_heads += 1
        if n_heads == 1:
            peer.send(b"HTTP/1.1 503 No\r\nContent-Length: 2000000\r\n\r\n")
            peer.send(b"x" * 1_500_000)
            await peer.rest()
            return
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await peer.rest()

    async with World(handle, route={"absorb": "2s"}) as world:
        assert (await world.ask(get_once())).endswith(b"ok")
        await until(lambda: not world.runtime.proxy.watched)
        await world.settled()
        assert world.outcomes == {"COMPLETED": 1}


@on_loop
async def test_the_access_log_and_the_decisions_tell_it() -> None:
    """A slot and a wait stand in both, under their reasons."""
    records: list[RequestRecord] = []
    seen: list[bytes] = []
    refusal = REFUSAL % b"Retry-After-Ms: 10\r\n"
    handler = refusing_first(5, refusal, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", seen)
    async with World(handler, route={"absorb": "20s"}) as world:
        world.runtime.proxy.on_done = records.append
        begin_storm(world)
        await world.ask(get_once())
        await world.ask(get_once(b"/last"))
        await world.settled()
        entries = world.runtime.decision_log.last(100)
    assert [(x.status, x.reason) for x in records] == [(429, "slot_given"), (200, "absorbed")]
    assert records[1].waited_ns > 0
    told = [(x.action, x.reason) for x in entries][::-1]
    assert told.count(("wait", "absorbed")) == 4
    assert told[-1] == ("admit", "absorbed")


@on_loop
async def test_governors_own_refusal_says_when_no_retry_helps() -> None:
    """A deadline before any slot: told not to come back; without one, when to."""
    go = asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.head()
        await go.wait()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await peer.rest()

    async with World(handle, upstream={"limit": 1, "max_waiting": 0}) as world:
        busy = await world.send(get())
        await until(lambda: world.gate.in_flight == 1)
        hopeless = await world.ask(get_once(b"/x", b"X-Governor-Deadline-Ms: 250"))
        assert status_of(hopeless) == 429
        assert field(hopeless, b"X-Should-Retry") == b"false"
        assert field(hopeless, b"Retry-After") is None
        other = await world.ask(get_once())
        assert field(other, b"X-Should-Retry") == b"true"
        assert int(field(other, b"Retry-After-Ms") or b"0") >= 300
        go.set()
        await busy.answer()
        busy.close()
        await world.settled()

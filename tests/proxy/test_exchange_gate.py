"""What an exchange does on the word of its gate, and what it tells the gate, on real sockets."""

from __future__ import annotations

import pytest

from policies.decision import Action, Outcome
from tests.proxy.rig import GET, Peer, Rig, answering, ok, on_loop, status_of, until


@on_loop
async def test_who_waits_is_sent_when_its_place_comes_free() -> None:
    """A request in the line has sent nothing upstream; admitted, it goes with its whole body."""

    async def handle(peer: Peer) -> None:
        _, body = await peer.answer()
        peer.send(ok(body))

    async with Rig(handle) as rig:
        rig.gate.next_action = Action.WAIT
        peer = await rig.connect()
        peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\nabc")
        await until(lambda: rig.gate.line)
        peer.send(b"def")
        assert rig.service.peers == []
        rig.gate.release()
        assert (await peer.answer())[1] == b"abcdef"
        assert rig.records[0].waited_ns > 0


@on_loop
async def test_a_large_upload_waits_in_bounded_memory_and_then_flows() -> None:
    """While a request waits, its caller is read no further than the bound; nothing is lost."""

    async def handle(peer: Peer) -> None:
        _, body = await peer.answer()
        peer.send(ok(b"%d" % len(body)))

    async with Rig(handle) as rig:
        rig.gate.next_action = Action.WAIT
        peer = await rig.connect()
        peer.send(
            b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 20000000\r\n\r\n" + b"x" * 20_000_000
        )
        await until(lambda: rig.gate.line and next(iter(rig.server.connections)).is_read_paused)
        exchange = rig.gate.line[0].owner
        assert exchange.held_bytes < 1_000_000
        rig.gate.release()
        assert (await peer.answer())[1] == b"20000000"


@on_loop
async def test_who_is_sent_away_gets_its_own_time() -> None:
    """429 with Retry-After in the caller's connection, which goes on."""
    async with Rig() as rig:
        peer = await rig.connect()
        rig.gate.next_action = Action.ANSWER
        peer.send(GET)
        head, body = await peer.answer()
        assert status_of(head) == 429
        assert b"Retry-After: 2\r\n" in head
        assert b"Retry-After-Ms: 1500\r\n" in head
        assert b'"line_too_long"' in body
        rig.gate.next_action = Action.WAIT
        peer.send(GET)
        await until(lambda: rig.gate.line)
        rig.gate.send_away()
        head, _ = await peer.answer()
        assert b"Retry-After: 2\r\n" in head
        assert rig.stats.n_own_answers == {"line_too_long": 1, "patience_spent": 1}


@on_loop
async def test_a_broken_gate_lets_requests_through() -> None:
    """If the gate raises, the request goes ungoverned and the fault is counted."""
    async with Rig() as rig:
        rig.gate.is_broken = True
        peer = await rig.connect()
        peer.send(GET)
        assert (await peer.answer())[1] == b"ok"
        assert rig.stats.n_faults == 1
        assert isinstance(rig.faults[0], ZeroDivisionError)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.COMPLETED),
        (404, Outcome.COMPLETED),
        (408, Outcome.FAILED),
        (429, Outcome.REFUSED),
        (500, Outcome.FAILED),
        (503, Outcome.REFUSED),
        (529, Outcome.FAILED),
    ],
)
@on_loop
async def test_a_complete_answer_has_the_outcome_of_its_status(
    status: int, outcome: Outcome
) -> None:
    """Refusals and errors that callers repeat are told apart from successes."""
    response = b"HTTP/1.1 %d X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n" % status
    async with Rig(answering(response)) as rig:
        peer = await rig.connect()
        peer.send(GET)
        assert await peer.head() == response
        assert await rig.settled() == [(outcome, status)]


@on_loop
async def test_limits_that_an_upstream_tells_reach_the_gate() -> None:
    """A refusal's time to come back always, quotas now and then."""
    plenty = b"X-RateLimit-Limit: 10\r\nX-RateLimit-Remaining: 9\r\n"
    none = b"X-RateLimit-Limit: 10\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 2\r\n"

    async def handle(peer: Peer) -> None:
        for _ in range(20):
            await peer.head()
            peer.send(ok(b"ok", plenty))
        await peer.head()
        peer.send(b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\nRetry-After: 3\r\n%b\r\n" % none)

    async with Rig(handle) as rig:
        peer = await rig.connect()
        for number in range(21):
            if number == 20:
                rig.pools[0].quota_due_ns = 0
            peer.send(GET)
            await peer.answer()
        await rig.settled()
        events = rig.gate.events
        told = [event for event in events if event[0] == "quota"]
        assert told[0] == ("quota", 4, 10, 9, 0)
        assert told[-1] == ("quota", 4, 10, 0, 2_000_000_000)
        assert events[-2:] == [(Outcome.REFUSED, 429), ("retry after", 3_000_000_000)]
        assert sum(event == ("quota", 4, 10, 9, 0) for event in told) < 20

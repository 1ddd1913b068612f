"""One upstream connection reads many answers; what it remembers of one never colours another."""

from __future__ import annotations

import asyncio

import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proxy.rig import GET, Peer, Rig, ok, on_loop

ANSWERS: list[tuple[bytes, bytes]] = [
    (ok(b"aa"), b"aa"),
    (ok(b"bb"), b"bb"),
    (ok(b"aa", b"X: 1\r\n"), b"aa"),
    (ok(b"aa", b"Connection: keep-alive\r\n"), b"aa"),
    (ok(b"aa", b"Proxy-Connection: close\r\n"), b"aa"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    (b"HTTP/1.1 204 No Content\r\nProxy-Connection: close\r\n\r\n", b""),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"chunked"),
    (ok(b"x" * 40_000), b"x" * 40_000),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"aa"), b"aa"),
]


async def relayed(choices: list[tuple[int, bool]]) -> list[tuple[bytes, bytes, bytes]]:
    """Heads and bodies that a caller gets, beside what was sent."""
    queue = list(choices)
    seen = []

    async def handle(peer: Peer) -> None:
        while True:
            head = await peer.head()
            idx, _ = queue.pop(0)
            answer = ANSWERS[idx][0]
            if head.startswith(b"HEAD"):
                answer = answer[: answer.rindex(b"\r\n\r\n") + 4]
                if ANSWERS[idx][1] == b"chunked":
                    answer = answer[: answer.index(b"\r\n\r\n") + 4]
            peer.send(answer)

    async with Rig(handle) as rig:
        peer = await rig.connect()
        for idx, is_head in choices:
            peer.send(GET.replace(b"GET", b"HEAD") if is_head else GET)
            head = await peer.head()
            while head.startswith(b"HTTP/1.1 100"):
                head = await peer.head()
            body = b""
            if not is_head:
                if b"chunked" in head:
                    await peer.chunked()
                    body = b"chunked"
                else:
                    body = await peer.exactly(len(ANSWERS[idx][1]))
            seen.append((head, body, b"" if is_head else ANSWERS[idx][1]))
        assert len(rig.service.peers) == 1
    return seen


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(0, len(ANSWERS) - 1), st.booleans()), min_size=2, max_size=12)
)
def test_answers_in_any_order_keep_to_themselves(choices: list[tuple[int, bool]]) -> None:
    """Repeated heads, HEAD beside GET, interim answers: each body is its own."""
    for head, body, expected in uvloop.run(relayed(choices)):
        assert body == expected
        assert b"onnection:" not in head


@on_loop
async def test_a_repeated_head_with_a_body_in_pieces() -> None:
    """A head known from before still frames a body that comes later, in any pieces."""

    async def handle(peer: Peer) -> None:
        n = 0
        while True:
            await peer.head()
            n += 1
            answer = ok(b"hello")
            cut = len(answer) - 5 + n % 6
            peer.send(answer[:cut])
            await peer.writer.drain()
            await asyncio.sleep(0.002)
            peer.send(answer[cut:])

    async with Rig(handle) as rig:
        peer = await rig.connect()
        for _ in range(12):
            peer.send(GET)
            assert (await peer.answer())[1] == b"hello"
        assert len(rig.service.peers) == 1

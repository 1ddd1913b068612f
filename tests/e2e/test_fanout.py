"""A fan-out through a running proxy shows up in its readings, and so does the upstream's quota."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.support.governed import Governor
from tests.support.loops import wait_until
from tests.support.origin import Conversation, Origin

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
QUOTA = [
    (b"x-ratelimit-limit-requests", b"200"),
    (b"x-ratelimit-remaining-requests", b"50"),
    (b"x-ratelimit-reset-requests", b"6m0s"),
]


async def held(conversation: Conversation) -> None:
    """Answer when the gate is opened, with what is left of a quota."""
    await conversation.origin.gate("work").wait()
    await conversation.answer(200, b"done", QUOTA)


@pytest.fixture(name="site")
def _site() -> Iterator[tuple[Origin, Governor]]:
    with closing(Origin({"/work": held})) as origin, Governor({"origin": origin.url}) as governor:
        yield origin, governor


def read(governor: Governor, name: str) -> float:
    """Return a reading of the only upstream."""
    value: float = governor.state()["upstreams"]["origin"]["signals"][name]["value"]
    return value


def test_one_to_twenty_to_a_hundred(site: tuple[Origin, Governor]) -> None:
    """One trace's calls, each by an agent of its own, are one tree: it explodes, and ends."""
    origin, governor = site
    host, _, port = governor.urls["origin"].removeprefix("http://").rpartition(":")
    with ExitStack() as stack:
        sockets = []

        def call(number: int) -> None:
            connection = stack.enter_context(socket.create_connection((host, int(port)), 10.0))
            head = f"GET /work HTTP/1.1\r\nHost: {host}\r\ntraceparent: {TRACE}\r\n"
            connection.sendall(f"{head}X-Governor-Flow: agent-{number}\r\n\r\n".encode())
            sockets.append(connection)

        for total, is_explosion in ((1, 0.0), (8, 0.0), (21, 1.0), (101, 1.0)):
            while len(sockets) < total:
                call(len(sockets))
            wait_until(lambda n=total: read(governor, "fanout_live") == n, 15.0, f"{total} live")
            assert read(governor, "fanout_exploding") == is_explosion
        assert read(governor, "fanout_explosions") == 1.0
        assert read(governor, "fanout_agents") == 101.0
        assert read(governor, "fanout_trees") == 1.0
        origin.open_gate("work")
        for connection in sockets:
            connection.settimeout(20.0)
            assert connection.recv(4_096).startswith(b"HTTP/1.1 200")
    wait_until(lambda: read(governor, "fanout_live") == 0.0, 15.0, "the end of the tree")
    wait_until(lambda: read(governor, "fanout_exploding") == 0.0, 5.0, "the end of the explosion")
    wait_until(lambda: read(governor, "quota_left") == 0.25, 5.0, "the quota")
    assert governor.state()["proxy"]["n_faults"] == 0

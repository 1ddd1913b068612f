"""SIGTERM: not ready, no new connections, what is in flight completes, exit code 0."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.governed import Governor
from tests.support.loops import wait_until
from tests.support.origin import Origin
from tests.support.origin_answers import ANSWERS
from tests.support.wire import WireClient


@pytest.fixture
def origin() -> Iterator[Origin]:
    """An origin of this test's own."""
    with closing(Origin(ANSWERS)) as origin:
        yield origin


def is_refused(url: str) -> bool:
    """Whether a new connection is refused."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_drain(origin: Origin) -> None:
    """An answer that is waited for and a stream that is under way both complete after SIGTERM."""
    with Governor({"origin": origin.url}) as governor:
        assert governor.get("/healthz/ready")[0] == 200
        assert governor.get("/healthz/live")[0] == 200
        url = governor.urls["origin"]
        with WireClient(url) as idle, WireClient(url) as waiting, WireClient(url) as stream:
            assert idle.request("GET", b"/echo").status == 200
            waiting.send(waiting.head("GET", b"/held?name=drain"))
            origin.wait_for_mark("drain")
            stream.send(stream.head("GET", b"/events?n=3&name=drained"))
            head = stream.read_head()

            governor.terminate()
            wait_until(lambda: is_refused(url), what="refusal of new connections")
            assert governor.get("/healthz/ready")[0] == 503
            assert governor.process.poll() is None
            assert idle.is_closed_by_peer()

            for number in range(3):
                origin.open_gate(f"drained-{number}")
            stream.read_body(head)
            assert head.body.count(b"data:") == 3
            assert governor.process.poll() is None
            origin.open_gate("drain")
            assert waiting.read_response().body == b"held drain"
            assert waiting.is_closed_by_peer()
        assert governor.wait() == 0


def test_idle_governor_ends_at_once(origin: Origin) -> None:
    """With nothing in flight SIGTERM ends the process at once, idle connections and all."""
    with (
        Governor({"origin": origin.url}) as governor,
        WireClient(governor.urls["origin"]) as client,
    ):
        assert client.request("GET", b"/echo").status == 200
        governor.terminate()
        assert governor.wait(10) == 0
        assert client.is_closed_by_peer()


def test_drain_does_not_wait_for_abandoned_work(origin: Origin) -> None:
    """Work whose caller has left has nobody to finish for: the process ends at once."""
    with Governor({"origin": origin.url}) as governor:
        with WireClient(governor.urls["origin"]) as client:
            client.send(client.head("GET", b"/held?name=abandoned"))
            origin.wait_for_mark("abandoned")
        governor.terminate()
        assert governor.wait(10) == 0


def test_drain_is_bounded(origin: Origin) -> None:
    """What does not complete within the drain timeout is cut off; the exit code is still 0."""
    with (
        Governor({"origin": origin.url}, drain_timeout="200ms") as governor,
        WireClient(governor.urls["origin"]) as client,
    ):
        client.send(client.head("GET", b"/held?name=forever"))
        origin.wait_for_mark("forever")
        governor.terminate()
        assert governor.wait(10) == 0
        try:
            status = client.read_response().status
        except ConnectionError:
            status = 0  # cut off without an answer
        assert status in (0, 502, 503)

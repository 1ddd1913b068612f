"""Every peer that is installed passes on requests, bodies and streams as they are."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from bench.children import HOST, cleaned_up
from bench.origin import SMALL_BODY, start_uvloop_origin
from bench.peers import PEERS, select
from bench.peers.base import Running, first_line, which

PROXIES = [name for name in PEERS if not name.startswith(("direct", "governor"))]


@pytest.fixture(scope="module")
def upstream_port() -> Iterator[int]:
    """Return the port of one origin for all peers."""
    with cleaned_up():
        child, port = start_uvloop_origin(None)
        yield port
        child.stop()


@pytest.fixture(params=PROXIES)
def running(request: pytest.FixtureRequest, upstream_port: int) -> Iterator[Running]:
    """Return each installed peer in front of the origin."""
    peer = PEERS[request.param]()
    if peer.missing():
        pytest.skip(peer.missing())
    with peer.start(upstream_port, None) as started:
        yield started


def test_a_peer_proxies(running: Running) -> None:
    """A small reply, a large reply and an upload come through on one connection."""
    connection = http.client.HTTPConnection(HOST, running.port, timeout=10)
    try:
        connection.request("GET", "/tool")
        assert connection.getresponse().read() == SMALL_BODY
        connection.request("GET", "/large")
        assert len(connection.getresponse().read()) == 65_536
        connection.request("POST", "/upload", body=b"u" * 100_000)
        reply = connection.getresponse()
        assert (reply.status, reply.read()) == (200, SMALL_BODY)
    finally:
        connection.close()


def test_versions_are_readable() -> None:
    """A peer that is here says which release it is."""
    for name in PROXIES:
        peer = PEERS[name]()
        if not peer.missing():
            assert any(char.isdigit() for char in peer.version())


def test_selection_refuses_unknown_names() -> None:
    """The message lists what there is."""
    with pytest.raises(SystemExit, match="nginx"):
        select("apache")
    assert [peer.name for peer in select("direct")] == ["direct"]


def test_a_program_that_is_not_there_has_no_version() -> None:
    """A table is written all the same."""
    assert first_line([which("no-such-program"), "--version"]) == "not installed"

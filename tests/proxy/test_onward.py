"""The head that goes on: who called, for which host, under which id."""

from __future__ import annotations

from governor.proxy.peer import Peer
from tests.proxy.heads import OURS, forwarded, parse, request


def test_forwarding_continues_the_chain() -> None:
    """X-Forwarded-For grows by the peer; what a proxy in front said of scheme and host stays."""
    got = forwarded(
        request(
            b"x-forwarded-for: 10.0.0.1",
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-For: 10.0.0.2",
            b"X-Forwarded-Host: outer.example",
        )
    )
    assert got[1:] == [
        b"Host: api.example",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: outer.example",
        b"X-Forwarded-For: 10.0.0.1, 10.0.0.2, 192.0.2.7",
        b"X-Request-Id: id-1",
    ]


def test_a_request_id_is_kept_if_present() -> None:
    """The caller's id goes on and becomes ours, shortened for answers and logs only."""
    raw = request(b"X-Request-ID: " + b"r" * 200)
    assert forwarded(raw)[2] == b"X-Request-ID: " + b"r" * 200
    assert not any(line.startswith(b"X-Request-Id: id-1") for line in forwarded(raw))
    assert parse(raw).request_id == b"r" * 128


def test_an_empty_request_id_is_none() -> None:
    """An empty X-Request-Id is replaced, not doubled."""
    assert forwarded(request(b"X-Request-Id: "))[1:] == [b"Host: api.example", *OURS]


def test_host_is_rewritten_in_its_place() -> None:
    """Rewriting touches the Host line alone; the caller's goes into X-Forwarded-Host."""
    got = forwarded(
        request(b"A: Host: x", b"hOST: api.example", b"B: c", host=b""), keeps_host=False
    )
    assert got[1:] == [b"A: Host: x", b"hOST: endpoint:81", b"B: c", *OURS]


def test_http_1_0_without_host_gets_the_endpoints() -> None:
    """The upstream is spoken to in HTTP/1.1, which requires Host."""
    got = forwarded(request(b"A: b", version=b"1.0", host=b""))
    assert got[:3] == [b"GET / HTTP/1.1", b"Host: endpoint:81", b"A: b"]
    assert b"" not in got
    assert forwarded(b"GET / HTTP/1.0\r\n\r\n")[1] == b"Host: endpoint:81"


def test_a_peer_without_address_is_named() -> None:
    """A connection over a Unix socket has no address to forward."""
    assert b"X-Forwarded-For: unknown" in forwarded(request(), peer=Peer(""))

"""What is known of a connection is written once."""

from __future__ import annotations

from governor.proxy.peer import Peer


def test_lines_follow_the_authority() -> None:
    """The lines change with the Host that the caller asks for, and with nothing else."""
    peer = Peer("192.0.2.7", 1, "https")
    first = peer.forwarded_lines(b"a")
    assert first is peer.forwarded_lines(b"a")
    assert first == (
        b"\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a"
    )
    assert peer.forwarded_lines(b"") == first[: first.index(b"\r\nX-Forwarded-Host")]


def test_the_key_depends_on_salt_and_address() -> None:
    """Without the salt an address cannot be found from its key."""
    assert Peer("a").make_key(b"1") == Peer("a").make_key(b"1") != Peer("a").make_key(b"2")
    assert Peer("a").make_key(b"1") != Peer("b").make_key(b"1")

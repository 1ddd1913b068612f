"""The readers that judge smuggling agree on plain requests and differ on the known attacks."""

from __future__ import annotations

import pytest

from tests.faults.readers import (
    Read,
    Unreadable,
    read_all_ways,
    read_h11,
    read_leniently,
    read_strictly,
)

PLAIN = (
    b"GET /a HTTP/1.1\r\nHost: t\r\n\r\n"
    b"POST /b HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"
    b"POST /c HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2;x\r\nde\r\n0\r\nT: 1\r\n\r\n"
)


def test_all_agree_on_plain_requests() -> None:
    """Also where the last one is incomplete."""
    want = [Read(b"GET", b"/a", b""), Read(b"POST", b"/b", b"abc"), Read(b"POST", b"/c", b"de")]
    assert read_all_ways(PLAIN) == want
    for n in range(len(PLAIN)):
        assert read_all_ways(PLAIN[:n]) == want[: len(read_h11(PLAIN[:n]))]


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 6\r\nTransfer-Encoding: chunked",
        b"Content-Length: 6\r\nTransfer-Encoding : chunked",
        b"Content-Length: 6\r\nTransfer-Encoding: xchunked",
        b"Content-Length: 6\r\nX: y\nTransfer-Encoding: chunked",
    ],
)
def test_the_known_attacks_are_seen(framing: bytes) -> None:
    """By length first the rest is a body, by coding first a request; the strict reader refuses."""
    data = (
        b"POST / HTTP/1.1\r\nHost: t\r\n%b\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"
        % framing.replace(b": 6", b": 33")
    )
    by_length = read_leniently(data, is_coding_first=False)
    by_coding = read_leniently(data, is_coding_first=True)
    assert by_length != by_coding
    assert by_coding[-1].target == b"/smuggled"
    with pytest.raises(Unreadable):
        read_strictly(data)

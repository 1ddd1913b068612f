"""A request head is refused, or goes on byte for byte without what ends at this hop."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.errors import DownstreamError
from governor.proxy.onward import build_request_head
from tests.proxy.heads import OURS, PEER, forwarded, head_of, parse, request

# -- what goes on --------------------------------------------------------------


def test_a_plain_head_goes_on_byte_for_byte() -> None:
    """Name case, values, order and multiplicity stay; our own lines come last."""
    fields = [b"aCCept: */*", b"X-A: 1", b"Cookie: a=b; c", b"X-A:  2\t", b"x-a:", b"Z: \xc3\xbc"]
    got = forwarded(request(*fields, target=b"/a%2Fb/../c?q=%zz&x='"))
    assert got == [
        b"GET /a%2Fb/../c?q=%zz&x=' HTTP/1.1",
        b"Host: api.example",
        *fields,
        *OURS,
    ]


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("spelling", [b"Connection", b"connection", b"CONNECTION"])
def test_only_the_connection_line_is_cut(place: int, spelling: bytes) -> None:
    """Wherever it stands and however it is spelt, nothing else goes with it."""
    fields = [b"Host: api.example", b"Accept: x", b"Via: Connection: x"]
    with_it = fields.copy()
    with_it.insert(place, spelling + b": keep-alive")
    assert forwarded(request(*with_it, host=b""))[1:] == fields + OURS


def test_hop_by_hop_fields_end_here() -> None:
    """RFC 9110 section 7.6.1: what concerns this connection only, and what Connection names."""
    got = forwarded(
        request(
            b"Keep-Alive: timeout=5",
            b"Proxy-Connection: keep-alive",
            b"TE: gzip",
            b"Upgrade: websocket",
            b"HTTP2-Settings: AAMA",
            b"Connection: keep-alive, X-Hop",
            b"connection: x-other",
            b"X-Hop: 1",
            b"x-OTHER: 2",
            b"X-Kept: 3",
            b"Proxy-Authorization: Basic eDp5",
        )
    )
    kept = [b"Host: api.example", b"X-Kept: 3", b"Proxy-Authorization: Basic eDp5"]
    assert got[1:] == kept + OURS


def test_connection_cannot_drop_what_the_upstream_needs() -> None:
    """Naming Host, the credential or the framing in Connection has no effect."""
    fields = [b"Authorization: Bearer x", b"Content-Length: 3", b"Cookie: a"]
    named = (
        b"Connection: host, authorization, content-length, cookie, x-forwarded-for, x-request-id"
    )
    got = forwarded(request(*fields, named, method=b"POST"))
    assert got[1:] == [b"Host: api.example", *fields, *OURS]


def test_own_hints_are_read_and_stripped() -> None:
    """No x-governor- header reaches the upstream, known or not."""
    head = parse(request(b"X-Governor-Flow: a", b"x-governor-future: b", b"X-Govern: c"))
    assert head.block == b"Host: api.example\r\nX-Govern: c"


def test_te_trailers_is_said_anew() -> None:
    """A caller that takes trailers is announced as such, in the place where it said so."""
    got = forwarded(request(b"TE: deflate;q=0.5, trailers", b"A: b", b"Connection: TE"))
    assert got[1:-4] == [b"Host: api.example", b"TE: trailers", b"A: b", b"Connection: TE"]


@pytest.mark.parametrize(
    ("target", "method", "line", "host"),
    [
        (b"http://other.example:81/a?b", b"GET", b"GET /a?b HTTP/1.1", b"other.example"),
        (b"HTTP://other.example", b"GET", b"GET / HTTP/1.1", b"other.example"),
        (b"https://[::1]?q", b"GET", b"GET /?q HTTP/1.1", b"[::1]"),
        (b"http://other.example", b"OPTIONS", b"OPTIONS * HTTP/1.1", b"other.example"),
    ],
)
def test_an_absolute_target_becomes_a_path_and_its_host_wins(
    target: bytes, method: bytes, line: bytes, host: bytes
) -> None:
    """RFC 9112 section 3.2.2: the received Host is ignored."""
    raw = request(b"A: b", target=target, method=method)
    got = forwarded(raw)
    assert got[0] == line
    assert got[1].startswith(b"Host: " + host)
    assert parse(raw).host == host


def test_an_asterisk_stays() -> None:
    """OPTIONS * asks about the server, not about a path."""
    assert forwarded(request(target=b"*", method=b"OPTIONS"))[0] == b"OPTIONS * HTTP/1.1"
    assert parse(request(target=b"*", method=b"OPTIONS")).path == b"*"


def test_path_and_host_for_routes() -> None:
    """The path has no query, the host no port and no capitals."""
    head = head_of(target=b"/a/b?c=/d", host=b"Host: API.Example:8080")
    assert (head.path, head.host, head.authority) == (b"/a/b", b"api.example", b"API.Example:8080")
    assert head.get(b"host") == b"API.Example:8080"
    assert head.get(b"nothing") is None


# -- framing and hop -----------------------------------------------------------


def test_framing() -> None:
    """A length, chunked, or no body."""
    assert head_of(b"Content-Length: 0042 ", method=b"POST").content_length == 42
    head = head_of(b"transfer-encoding: Chunked", method=b"POST")
    assert head.is_chunked
    assert head.content_length is None
    assert b"transfer-encoding: chunked" in head.block
    assert head_of().content_length is None


@pytest.mark.parametrize(
    ("version", "fields", "keep_alive"),
    [
        (b"1.1", (), True),
        (b"1.1", (b"Connection: close",), False),
        (b"1.1", (b"Connection: keep-alive, Close",), False),
        (b"1.1", (b"Connection: keep-alive", b"Connection: close"), False),
        (b"1.0", (), False),
        (b"1.0", (b"Connection: Keep-Alive",), True),
        (b"1.0", (b"Connection: keep-alive, close",), False),
    ],
)
def test_keep_alive(version: bytes, fields: tuple[bytes, ...], keep_alive: bool) -> None:
    """HTTP/1.1 goes on unless told otherwise, HTTP/1.0 only if asked to."""
    assert head_of(*fields, version=version).keep_alive is keep_alive


def test_an_upgrade_goes_on_in_its_place() -> None:
    """The upstream is asked for the same protocol; other connection options end here."""
    raw = request(b"Connection: keep-alive, Upgrade", b"Upgrade: websocket", b"A: b")
    assert parse(raw).upgrade == b"websocket"
    assert forwarded(raw)[1:-4] == [
        b"Host: api.example",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"A: b",
    ]


@pytest.mark.parametrize(
    "raw",
    [
        request(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA"),
        request(b"Connection: Upgrade", b"Upgrade: websocket, h2c"),
        request(b"Connection: Upgrade", b"Upgrade: websocket", version=b"1.0"),
        request(b"Upgrade: websocket"),
        request(b"Connection: Upgrade"),
        request(
            b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 3", method=b"POST"
        ),
    ],
)
def test_an_upgrade_that_is_not_offered_is_an_ordinary_request(raw: bytes) -> None:
    """HTTP/2 in clear text would tunnel past routes and gate; bodies and HTTP/1.0 cannot switch."""
    head = parse(raw)
    assert head.upgrade == b""
    assert b"pgrade" not in head.block


def test_expect_goes_end_to_end() -> None:
    """100-continue is relayed with a body in HTTP/1.1; HTTP/1.0 cannot have meant it."""
    expects = b"Expect: 100-Continue"
    head = head_of(expects, b"Content-Length: 3", method=b"PUT")
    assert head.expect_continue
    assert expects in head.block
    assert not head_of(expects).expect_continue
    old = head_of(expects, b"Content-Length: 3", method=b"PUT", version=b"1.0")
    assert not old.expect_continue
    assert expects not in old.block


_NAMES = st.sampled_from(
    [b"Host", b"host", b"Connection", b"Content-Length", b"Transfer-Encoding", b"TE", b"Upgrade"]
    + [b"Expect", b"X-Forwarded-For", b"X-Request-Id", b"X-Governor-Flow", b"Accept", b"X-A"]
    + [b"Keep-Alive", b"x-a"]
)
_VALUES = st.sampled_from(
    [b"", b"a", b"chunked", b"3", b"close", b"keep-alive, x-a", b"upgrade", b"websocket", b"h2c"]
    + [b"TE", b"trailers", b"100-continue", b"host", b" a\t", b"a:b"]
) | st.binary(max_size=8)


@given(
    fields=st.lists(st.tuples(_NAMES, _VALUES), max_size=8),
    target=st.sampled_from([b"/", b"/a?b", b"http://h/x", b"*", b"//"]),
    method=st.sampled_from([b"GET", b"POST", b"OPTIONS"]),
    version=st.sampled_from([b"1.1", b"1.0"]),
)
def test_whatever_comes_in_one_well_formed_request_goes_out_or_none(
    fields: list[tuple[bytes, bytes]], target: bytes, method: bytes, version: bytes
) -> None:
    """Of any head there is a documented refusal, or a head that parses to one request again."""
    raw = request(
        *(name + b": " + value for name, value in fields),
        method=method,
        target=target,
        version=version,
        host=b"",
    )
    try:
        head = parse(raw[: raw.index(b"\r\n\r\n") + 4])
    except (httptools.HttpParserError, DownstreamError):
        return
    data = build_request_head(head, PEER, b"id", b"endpoint")
    assert data.count(b"\r\n\r\n") == 1
    again = parse(data)
    assert again.is_chunked == head.is_chunked
    assert again.content_length == head.content_length
    assert again.target == head.target
    assert again.upgrade == head.upgrade
    assert sum(name.lower() == b"host" for name, _ in again.headers) == 1
    assert not any(name.lower().startswith(b"x-governor-") for name, _ in again.headers)

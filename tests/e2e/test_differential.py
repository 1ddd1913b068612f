"""The same bytes sent directly and through Governor: what differs is what may differ.

Compared on the wire, both what the origin received and what the caller received: names with their
case, values, order, number, bodies and trailers.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import Site
from tests.support.compare import FORWARDING, end_to_end, names, value_of
from tests.support.origin import Received
from tests.support.seen import seen
from tests.support.wire import Field, WireClient, WireResponse

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "M-SEARCH"]
STATUSES = [200, 201, 202, 203, 206, 207, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404,
            405, 406, 407, 408, 409, 410, 411, 413, 416, 418, 421, 422, 425, 426, 428, 429, 431,
            451, 499, 500, 501, 502, 503, 504, 505, 507, 511, 520, 529, 598, 599]  # fmt: skip
TARGETS = [
    b"/",
    b"//a/%2e%2e/b?x=%20&y=\xc3\xbc",
    b"/a//b/../c/./d",
    b"/%2F%2f%00%ff/%e2%82%ac",
    b"/?",
    b"/?a=b?c=d&&=&x",
    b"/;params;p=1,2/(x)'!*~$&+=:@",
    b"/a%zz%",
    b'/"<>\\^`{|}',
    b"/" + b"long/" * 1500,
    b"/q?" + b"k=v&" * 3000,
]
ANSWER_PATHS = ["/not-modified", "/sized", "/odd-fields", "/gzip", "/range", "/one-byte-chunks",
                "/one-byte-segments", "/trailers", "/until-close", "/http10", "/hints",
                "/status?code=204", "/status?code=200&reason="]  # fmt: skip
ODD_FIELDS: list[Field] = [
    (b"X-First", b"1"),
    (b"x-MiXeD", b"Kept"),
    (b"X-Empty", b""),
    (b"Accept", b"a/b;q=0.1 , c/d"),
    (b"X-Twice", b"a"),
    (b"Cookie", b"a=1; b=2"),
    (b"X-Twice", b"b, c"),
    (b"Cookie", b"c=3"),
    (b"X-Latin", b"caf\xe9 \xff"),
    (b"X-Quoted", b'"a, \\"b\\""; c=(d)'),
    (b"!#$%&'*+-.^_`|~0", b"every token character"),
    (b"Via", b"1.1 before"),
    (b"Forwarded", b"for=192.0.2.1"),
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    (b"Range", b"bytes=0-1, 3-4"),
    (b"If-None-Match", b'W/"a", "b"'),
]


def received_by_caller(response: WireResponse) -> tuple[Any, ...]:
    """A response without its framing and its connection."""
    length = [] if response.framing == "length" else ["content-length"]
    interims = [(status, end_to_end(fields)) for status, fields in response.interims]
    return (
        response.status,
        response.reason,
        end_to_end(response.fields, length),
        response.body,
        response.trailers,
        interims,
    )


def check(
    site: Site, method: str, target: bytes, fields: list[Field] | None = None, body: bytes = b""
) -> tuple[WireResponse, list[Received]]:
    """Send the same request directly and governed; return the governed side of both ends."""
    responses, received = [], []
    for base in (site.direct, site.governed):
        with WireClient(base) as client:
            responses.append(client.request(method, target, fields, body))
        received.append(site.server.take())
    assert received_by_caller(responses[1]) == received_by_caller(responses[0])
    assert seen(received[1]) == seen(received[0])
    return responses[1], received[1]


@pytest.mark.parametrize("method", METHODS)
def test_methods(origin: Site, method: str) -> None:
    """Every method passes, registered or not, with a body."""
    _, received = check(origin, method, b"/echo", body=b"body of " + method.encode())
    assert received[0].method == method


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
def test_no_body_is_no_body(origin: Site, method: str) -> None:
    """A request without a body gets no framing of one."""
    _, received = check(origin, method, b"/echo")
    assert received[0].framing == "none"


def test_explicitly_empty_body(origin: Site) -> None:
    """Content-Length: 0 stays as it was sent."""
    _, received = check(origin, "POST", b"/echo", [(b"Content-Length", b"0")])
    assert received[0].get(b"content-length") == b"0"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: repr(target[:24]))
def test_targets_are_not_touched(origin: Site, target: bytes) -> None:
    """A target reaches the origin byte for byte: nothing decoded, encoded, merged or resolved."""
    _, received = check(origin, "GET", target)
    assert received[0].target == target


def test_options_asterisk(origin: Site) -> None:
    """OPTIONS * stays *."""
    _, received = check(origin, "OPTIONS", b"*")
    assert received[0].target == b"*"


def test_absolute_form(origin: Site) -> None:
    """A target in absolute form is the caller's way to a proxy; the origin gets path and query."""
    authority = origin.governed.removeprefix("http://")
    with WireClient(origin.governed) as client:
        target = b"http://" + authority.encode() + b"/echo?x=%20"
        assert client.request("GET", target).status == 200
    (received,) = origin.server.take()
    assert received.target in (b"/echo?x=%20", target)
    assert received.get(b"host") == authority.encode()


def test_request_fields_are_not_touched(origin: Site) -> None:
    """Names, case, values, order and number of fields reach the origin as sent."""
    _, received = check(origin, "GET", b"/echo", ODD_FIELDS)
    kept = end_to_end(received[0].fields, ["host"])
    assert kept == end_to_end(ODD_FIELDS)


def test_hop_by_hop_fields_stop_here(origin: Site) -> None:
    """Fields of the caller's connection, and those that Connection names, go no further."""
    origin.governor  # noqa: B018  skips where a forwarder stands in
    fields = [
        (b"Connection", b"keep-alive, X-Private"),
        (b"Keep-Alive", b"timeout=5"),
        (b"X-Private", b"secret"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"TE", b"gzip"),
        (b"X-Public", b"1"),
    ]
    with WireClient(origin.governed) as client:
        assert client.request("GET", b"/echo", fields).status == 200
    (received,) = origin.server.take()
    assert names(received.fields) - {"connection"} <= {"host", "x-public"} | FORWARDING
    assert (received.get(b"connection") or b"keep-alive").lower() == b"keep-alive"


def test_forwarding_fields(origin: Site) -> None:
    """The origin is told the caller's address and scheme, and a request id, kept if given."""
    origin.governor  # noqa: B018  skips where a forwarder stands in
    with WireClient(origin.governed) as client:
        client.request("GET", b"/echo")
        client.request("GET", b"/echo", [(b"X-Request-Id", b"mine-1")])
        client.request("GET", b"/echo", [(b"X-Forwarded-For", b"192.0.2.7")])
    first, second, third = origin.server.take()
    assert value_of(first.fields, "x-forwarded-for") == "127.0.0.1"
    assert value_of(first.fields, "x-forwarded-proto") == "http"
    assert value_of(first.fields, "x-request-id")
    assert value_of(second.fields, "x-request-id") == "mine-1"
    chain = [value for name, value in third.fields if name.lower() == b"x-forwarded-for"]
    assert b", ".join(chain) == b"192.0.2.7, 127.0.0.1"


@pytest.mark.parametrize("status", STATUSES)
def test_statuses(origin: Site, status: int) -> None:
    """Every final status passes with its own reason phrase, fields and body."""
    target = b"/status?code=%d&reason=Quite+odd" % status
    response, _ = check(origin, "POST", target, body=b"x")
    assert (response.status, response.reason) == (status, b"Quite odd")


@pytest.mark.parametrize("path", ANSWER_PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_answers(origin: Site, method: str, path: str) -> None:
    """Each kind of answer arrives the same: status, fields, body, trailers, interim responses."""
    if method == "HEAD" and path not in ("/sized", "/odd-fields", "/gzip", "/not-modified"):
        path = "/head-chunked"
    check(origin, method, path.encode())


def test_head_keeps_the_length(origin: Site) -> None:
    """HEAD tells the length that GET would have, without a body after it."""
    with WireClient(origin.governed) as client:
        response = client.request("HEAD", b"/sized")
        assert response.get(b"content-length") == b"1234"
        assert client.request("GET", b"/sized").body == b"h" * 1234


def test_not_modified_keeps_its_fields(origin: Site) -> None:
    """A 304 keeps the length of what it does not send, and the connection goes on."""
    with WireClient(origin.governed) as client:
        response = client.request("GET", b"/not-modified")
        assert (response.status, response.get(b"content-length")) == (304, b"1234")
        assert client.request("GET", b"/echo").status == 200


def test_trailers_down(origin: Site) -> None:
    """Trailers of a response arrive after its body, with their announcement."""
    with WireClient(origin.governed) as client:
        response = client.request("GET", b"/trailers", [(b"TE", b"trailers")])
    assert response.body == b"hello world"
    assert response.trailers == [(b"X-Checksum", b"abc123"), (b"X-Empty", b"")]
    assert response.get(b"trailer") == b"X-Checksum, X-Empty"


def test_trailers_and_odd_chunks_up(origin: Site) -> None:
    """A chunked upload with extensions, odd sizes and trailers arrives with body and trailers."""
    body = b"1;ext=1\r\na\r\n00A\r\n0123456789\r\n1\r\nz\r\n000\r\nX-Sum: 1\r\nX-Two:  2 \r\n\r\n"
    received = []
    for base in (origin.direct, origin.governed):
        with WireClient(base) as client:
            head = client.head("POST", b"/echo", [(b"Transfer-Encoding", b"chunked")])
            client.send(head + body)
            assert client.read_response("POST").body == b"a0123456789z"
        received.append(seen(origin.server.take()))
    assert received[1] == received[0]
    assert received[1][0][4] == [(b"X-Sum", b"1"), (b"X-Two", b"2")]


def test_one_byte_at_a_time_up(origin: Site) -> None:
    """A request written byte by byte arrives as one."""
    results = []
    for base in (origin.direct, origin.governed):
        with WireClient(base) as client:
            head = client.head("POST", b"/echo", [(b"X-A", b"b")], b"slow body")
            for byte in head + b"slow body":
                client.send(b"%c" % byte)
            results.append(received_by_caller(client.read_response("POST")))
    assert results[1] == results[0]
    assert results[1][3] == b"slow body"


def test_pipelined_requests_are_answered_in_order(origin: Site) -> None:
    """Requests sent at once, bodies between them, are answered one after the other, in order."""
    results = []
    for base in (origin.direct, origin.governed):
        with WireClient(base) as client:
            batch = b""
            for number in range(20):
                body = b"" if number % 3 else b"body %d" % number
                batch += client.head("POST", b"/echo?%d" % number, [], body) + body
            client.send(batch)
            bodies = [client.read_response("POST").body for _ in range(20)]
        results.append((bodies, [request.target for request in origin.server.take()]))
    assert results[1] == results[0]
    assert results[1][0][3] == b"body 3"


def test_pipelining_behind_a_slow_answer(origin: Site) -> None:
    """A request behind one that is still being answered waits for it; neither is lost."""
    for name, base in (("direct", origin.direct), ("governed", origin.governed)):
        with WireClient(base) as client:
            first = client.head("GET", b"/held?name=pipe-" + name.encode())
            client.send(first + client.head("GET", b"/status?code=200"))
            origin.server.wait_for_mark(f"pipe-{name}")
            origin.server.open_gate(f"pipe-{name}")
            assert client.read_response().body == b"held pipe-" + name.encode()
            assert client.read_response().body == b"status 200\n"


def test_http10_caller(origin: Site) -> None:
    """An HTTP/1.0 caller gets no chunks and the end of its connection; keep-alive is honoured."""
    with WireClient(origin.governed) as client:
        response = client.request("GET", b"/one-byte-chunks", version=b"HTTP/1.0")
        if origin.governed != origin.direct and hasattr(origin.front, "process"):
            assert response.framing == "close"
            assert response.body == b"one byte at a time"
    with WireClient(origin.governed) as client:
        keep = [(b"Connection", b"keep-alive")]
        response = client.request("GET", b"/sized", keep, version=b"HTTP/1.0")
        assert len(response.body) == 1234


def test_connection_close_is_obeyed(origin: Site) -> None:
    """After Connection: close the answer is whole and the connection ends."""
    for base in (origin.direct, origin.governed):
        with WireClient(base) as client:
            response = client.request("GET", b"/sized", [(b"Connection", b"close")])
            assert len(response.body) == 1234
            assert client.is_closed_by_peer()


def test_expectation_end_to_end(origin: Site) -> None:
    """100 Continue comes from the origin, before any byte of the body was sent."""
    results = []
    for base in (origin.direct, origin.governed):
        with WireClient(base) as client:
            fields = [(b"Expect", b"100-continue")]
            client.send(client.head("PUT", b"/echo", fields, b"body"))
            assert client.read_head().status == 100
            client.send(b"body")
            results.append(received_by_caller(client.read_response("PUT")))
    assert results[1] == results[0]
    received = origin.server.take()
    assert [request.get(b"expect") for request in received] == [b"100-continue"] * 2


def test_expectation_refused(origin: Site) -> None:
    """A final answer in place of 100 arrives without the body having been sent."""
    results = []
    for base in (origin.direct, origin.governed):
        with WireClient(base) as client:
            fields = [(b"Expect", b"100-continue")]
            client.send(client.head("PUT", b"/refuse", fields, b"body"))
            response = client.read_response("PUT")
            results.append((response.status, response.body))
    assert results == [(413, b"too much")] * 2


def test_interim_responses(origin: Site) -> None:
    """102 and 103 arrive before the final response, with their fields."""
    with WireClient(origin.governed) as client:
        response = client.request("GET", b"/hints")
    link = [(b"Link", b"</style.css>; rel=preload")]
    assert [(status, end_to_end(fields)) for status, fields in response.interims] == [
        (103, end_to_end(link)),
        (102, []),
    ]


def test_cookies_stay_apart(origin: Site) -> None:
    """Three Set-Cookie fields stay three, each in its own case, in order."""
    with WireClient(origin.governed) as client:
        response = client.request("GET", b"/odd-fields")
    cookies = [name for name, _ in response.fields if name.lower() == b"set-cookie"]
    assert cookies == [b"Set-Cookie", b"set-cookie", b"SET-COOKIE"]


def test_a_large_head_both_ways(origin: Site) -> None:
    """A head of 48 KB passes; the limit of 64 KiB is not met by ordinary cookies."""
    fields = [(b"X-%d" % number, b"v" * 1000) for number in range(48)]
    check(origin, "GET", b"/echo", fields)

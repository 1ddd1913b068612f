"""How different servers would read the same bytes: strict, by length first, by coding first.

A request is smuggled where two readers disagree. What Governor forwards must read the same to all
of them: the two strict ones refuse what is not well formed, the two lenient ones take all the
liberties that real servers have taken (bare LF, folded lines, spaces before colons, the last
length wins, any value with "chunked" in it, numbers with signs and prefixes).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import h11


class Read(NamedTuple):
    """One request as a reader understood it."""

    method: bytes
    target: bytes
    body: bytes


class Unreadable(Exception):
    """A strict reader refuses these bytes."""


def read_h11(data: bytes) -> list[Read]:
    """Read whole requests with h11; what is incomplete at the end is not a request."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    requests: list[Read] = []
    head: h11.Request | None = None
    body = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise Unreadable(str(error)) from error
        if isinstance(event, h11.Request):
            head, body = event, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            requests.append(Read(bytes(head.method), bytes(head.target), body))
            connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return requests
            connection.start_next_cycle()
        else:
            return requests


_NAME = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEAD = re.compile(
    rb"([A-Z]+) ([\x21-\x7e]+) HTTP/1\.1\r\n((?:" + _NAME + rb":[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n"
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_TRAILERS = re.compile(rb"(?:" + _NAME + rb":[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n")


def read_strictly(data: bytes) -> list[Read]:
    """Read by the grammar of RFC 9112 and nothing else; one Host, one framing."""
    requests: list[Read] = []
    while data:
        match = _HEAD.match(data)
        if match is None:
            if b"\r\n\r\n" in data:
                raise Unreadable(f"not a head: {data[:200]!r}")
            return requests
        rest = data[match.end() :]
        lines = [line.split(b":", 1) for line in match[3].split(b"\r\n")[:-1]]
        fields = [(name.lower(), value.strip(b" \t")) for name, value in lines]
        if [name for name, _ in fields].count(b"host") != 1:
            raise Unreadable("not one Host")
        framing = [x for x in fields if x[0] in (b"content-length", b"transfer-encoding")]
        if len(framing) > 1:
            raise Unreadable(f"framed twice: {framing}")
        body: bytes | None = b""
        if framing and framing[0][0] == b"transfer-encoding":
            if framing[0][1] != b"chunked":
                raise Unreadable("a coding other than chunked")
            body, rest = _read_chunks(rest)
        elif framing:
            if not re.fullmatch(rb"[0-9]{1,18}", framing[0][1]):
                raise Unreadable("a length that is no number")
            length = int(framing[0][1])
            body, rest = (rest[:length], rest[length:]) if len(rest) >= length else (None, b"")
        if body is None:
            return requests
        requests.append(Read(match[1], match[2], body))
        data = rest
    return requests


def _read_chunks(data: bytes) -> tuple[bytes | None, bytes]:
    body = b""
    while match := _CHUNK.match(data):
        size = int(match[1], 16)
        data = data[match.end() :]
        if size == 0:
            trailers = _TRAILERS.match(data)
            return (None, b"") if trailers is None else (body, data[trailers.end() :])
        if len(data) < size + 2:
            return None, b""
        if data[size : size + 2] != b"\r\n":
            raise Unreadable("a chunk longer than its size")
        body += data[:size]
        data = data[size + 2 :]
    if b"\r\n" in data:
        raise Unreadable("not a chunk size")
    return None, b""


def read_leniently(data: bytes, *, is_coding_first: bool) -> list[Read]:
    """Read as the most forgiving servers have: whatever looks like a request is one."""
    requests: list[Read] = []
    while data := data.lstrip(b"\r\n \t\0"):
        match = re.search(rb"\r?\n\r?\n|\r\r", data)
        if match is None:
            return requests
        lines = re.sub(rb"\r?\n[ \t]+", b" ", data[: match.start()]).splitlines()
        rest = data[match.end() :]
        words = lines[0].split()
        length, is_chunked = 0, False
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            kind = re.sub(rb"[^a-z-]", b"", name.lower().replace(b"_", b"-"))
            if kind == b"content-length":
                length = _to_int(value, 10)
            elif kind == b"transfer-encoding" and b"chunked" in value.lower():
                is_chunked = True
        if is_chunked and (is_coding_first or not length):
            body = b""
            while True:
                line, found, rest = rest.partition(b"\n")
                if not found:
                    return requests
                size = _to_int(line.partition(b";")[0], 16)
                if size == 0:
                    found, rest = _after_blank(rest)
                    if not found:
                        return requests
                    break
                if len(rest) < size:
                    return requests
                body += rest[:size]
                rest = rest[size:].removeprefix(b"\r").removeprefix(b"\n")
        else:
            if len(rest) < length:
                return requests
            body, rest = rest[:length], rest[length:]
        requests.append(Read(words[0], words[1] if len(words) > 1 else b"", body))
        data = rest
    return requests


def _after_blank(data: bytes) -> tuple[bool, bytes]:
    match = re.match(rb"\r?\n", data) or re.search(rb"\n\r?\n", data)
    return (False, b"") if match is None else (True, data[match.end() :])


def _to_int(value: bytes, base: int) -> int:
    pattern = rb"[+-]?(?:0x)?([0-9a-f]+)" if base == 16 else rb"[+-]?([0-9]+)"
    match = re.search(pattern, value.strip().lower())
    return int(match[1], base) if match else 0


def read_all_ways(data: bytes) -> list[Read]:
    """Return what all readers agree on; fail where they do not."""
    requests = read_strictly(data)
    assert read_h11(data) == requests, data
    for is_coding_first in (True, False):
        assert read_leniently(data, is_coding_first=is_coding_first) == requests, data
    return requests

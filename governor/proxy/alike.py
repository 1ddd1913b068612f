"""Heads that differ from the one before on their connection in nothing but some values.

*Rule of this file*: a head is read here only if the whole reading (llhttp, then
:meth:`governor.proxy.headers.RequestHead.finish`) would say of it what it said of the
one before, those values aside. What is not certain is left to the whole reading;
``tests/proxy/test_alike.py`` holds one to the other.

*Theory*: a client library sends the same lines with every request; what differs is the
length, a trace, a count of tries. Both readers judge a field by its name, by the
characters of its value and, where it frames the message or ends at this hop, by the
value itself. So where the request line and the names are the same to the byte, and the
values that differ are printable and belong to fields that frame nothing, the judgement
is the same. ``Content-Length`` frames, and is taken here in its plainest form only.

*Regime*: connections that are used again, by one library.

*Cost*: a head of 18 fields of which two differ: 4.1 us where the whole reading takes 14.2
(a busy machine); what stands between the two is compared as a piece each. A connection that is
busy keeps its last head, up to ``MAX_KNOWN_HEAD_BYTES``, as bytes, fields and pieces: with the
parser 6.6 KB for one of 586 bytes.

*Considered and rejected*: remembering single lines for all connections together (one
look-up and one copy a line, 18 a request; and it would keep credentials in a table).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from governor.proxy.header_names import (
    CONNECTION,
    CONTENT_LENGTH,
    HINT,
    TRACEPARENT,
    code_of,
)
from governor.proxy.headers import MAX_LENGTH_DIGITS, RequestHead

if TYPE_CHECKING:
    from governor.proxy.hints import Hints

MAX_KNOWN_HEAD_BYTES = 2_048
"""A head up to here is remembered; SDKs send 600 to 1,200 bytes."""

MAX_MOVING = 8
"""Where more lines differ it is quicker, and plainer, to read the whole."""

_VALUE = re.compile(rb"[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?")
"""What every reader takes for the same value: neither empty nor with white space around it."""


class Kin:
    """Heads of one connection that tell the gate the same, but for length and trace.

    Attributes
    ----------
    hints : Hints or None
        What they tell, once one of them has been read (:mod:`governor.proxy.arrivals`).
    """

    __slots__ = ("hints",)

    def __init__(self) -> None:
        self.hints: Hints | None = None


class LastHead:
    """The head that a connection sent last.

    Attributes
    ----------
    data : bytes
    head : RequestHead
    """

    __slots__ = ("_block", "_end", "_moving", "data", "head")

    def __init__(self, data: bytes, head: RequestHead) -> None:
        self.data = data
        self.head = head
        self._moving: list[tuple[bytes, int, bytes, int]] = []
        # of each value that differs: all bytes since the one before, the field's place, name, code
        self._end = b""  # what stands behind the last of them
        self._block = b""  # for the upstream, with places for them

    def again(self) -> RequestHead:
        """Return it for a head that is the same to the byte."""
        head = self.head
        if head.kin is None and head.is_plain:
            head.kin = Kin()  # not sooner: where heads do not repeat, nothing is to be shared
        return head

    def vary(self, data: bytes) -> RequestHead | None:
        """Return what another head says if it is like this one, and remember it instead."""
        if not self.head.is_plain:
            return None
        head = self._read(data) if self._moving else None
        if head is None and self._compare(data):
            head = self._read(data)
        if head is not None:
            self.data, self.head = data, head
        return head

    def _read(self, data: bytes) -> RequestHead | None:
        """Return a head with other values in the places known, if they are plain."""
        head = _copy(self.head)
        headers, values = head.headers, head.values
        found: list[bytes] = []
        end = 0
        for before, place, name, code in self._moving:
            if not data.startswith(before, end):
                return None
            begin = end + len(before)
            end = data.find(b"\r\n", begin)
            value = data[begin:end]
            if code == CONTENT_LENGTH:
                if not value.isdigit() or len(value) > MAX_LENGTH_DIGITS:
                    return None
                head.content_length = int(value)
            elif _VALUE.fullmatch(value) is None:
                return None
            elif code and code != TRACEPARENT and value != values[code]:
                head.kin = Kin()
            if code:
                values[code] = value
            headers[place] = (name, value)
            found.append(value)
        if data[end:] != self._end:
            return None
        head.block = self._block % tuple(found)
        return head

    def _compare(self, data: bytes) -> bool:
        """Let the values differ that do, beside those that did before; False if one must not."""
        headers = self.head.headers
        if not data.startswith(self.data[: self.data.index(b"\r\n")]):
            return False
        ours, theirs = self.data.split(b"\r\n"), data.split(b"\r\n")
        if not len(ours) == len(theirs) == len(headers) + 3:
            return False
        places = {place for place in range(len(headers)) if ours[place + 1] != theirs[place + 1]}
        for place in places:
            name = headers[place][0]
            code = code_of(name)
            if not theirs[place + 1].startswith(name + b": ") or (
                code and code < HINT and code != CONTENT_LENGTH
            ):
                return False  # another field; or it frames the message, or is for this hop
        places.update(place for _, place, _, _ in self._moving)
        if len(places) > MAX_MOVING:
            return False
        self._learn(ours, places)
        return True

    def _learn(self, lines: list[bytes], places: set[int]) -> None:
        """Cut the head where values may differ from now on."""
        moving: list[tuple[bytes, int, bytes, int]] = []
        passing: list[bytes] = []
        begin = 0
        for place, (name, _) in enumerate(self.head.headers):
            at, code, led = place + 1, code_of(name), name + b": "
            if place in places:
                moving.append((b"\r\n".join((*lines[begin:at], led)), place, name, code))
                passing.append(led.replace(b"%", b"%%") + b"%b")
                lines[at] = b""
                begin = at
            elif code != CONNECTION:
                passing.append(lines[at].replace(b"%", b"%%"))
        self._moving, self._end = moving, b"\r\n".join(lines[begin:])
        self._block = b"\r\n".join(passing)


def _copy(known: RequestHead) -> RequestHead:
    """Return a plain head once more, with fields of its own."""
    head = RequestHead.__new__(RequestHead)
    head.headers = known.headers.copy()
    head.values = known.values.copy()
    head.method = known.method
    head.target = known.target
    head.path = known.path
    head.version = known.version
    head.seen = known.seen
    head.authority = known.authority
    head.host = known.host
    head.keep_alive = known.keep_alive
    head.content_length = known.content_length
    head.kin = known.kin or Kin()
    head.is_plain = True
    head.is_chunked = head.expect_continue = False
    head.upgrade = head.request_id = head.forwarded_for = b""
    return head

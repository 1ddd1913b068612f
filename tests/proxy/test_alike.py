"""Heads that differ from the one before in some values: read as if they were the first."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governor.core.identity import Identities
from governor.errors import DownstreamError
from governor.proxy.alike import LastHead
from governor.proxy.arrivals import ArrivalReader
from governor.proxy.headers import RequestHead
from governor.proxy.peer import Peer
from governor.proxy.request_reader import MAX_UNLIKE, N_SKIPPED, RequestReader
from governor.proxy.sweep import HEAD_KEPT_NS, sweep_connection
from tests.support.fields import fields_of

LINES = (b"POST /a?b=%41 HTTP/1.1", b"GET http://t/a HTTP/1.1", b"POST /a HTTP/1.0")
VALUES = {
    b"Host": (b"t", b"t", b"u", b"t\tx"),
    b"Content-Length": (b"5", b"17", b"0", b"05", b"+5", b"5 ", b"1" * 19, b""),
    b"traceparent": (b"00-%032x-%016x-01" % (7, 7), b"00-%032x-%016x-01" % (8, 8), b"x", b"x\r"),
    b"Authorization": (b"Bearer a", b"Bearer b", b"100%b"),
    b"x-stainless-retry-count": (b"0", b"1", b"", b"two"),
    b"amz-sdk-request": (b"attempt=1", b"ttl=20300101T000000Z; attempt=2"),
    b"Connection": (b"keep-alive", b"close", b"X-Own", b"upgrade"),
    b"Transfer-Encoding": (b"chunked", b"gzip"),
    b"X-Request-Id": (b"1", b"2"),
    b"Upgrade": (b"websocket",),
    b"X%b": (b"a", b"b"),
    b"X-Own": (b"a", b"b", b" b", b"b ", b"a\x00b", b"a\nb", b"\xfc", b"a: b", b"\t"),
}
"""What may be sent, good and bad."""


@st.composite
def _heads(draw: st.DrawFn) -> list[bytes]:
    """Heads of one library: the same lines in the same order, now and then another value."""
    names = draw(st.lists(st.sampled_from([*VALUES, b"X-Own"]), min_size=1, max_size=9))
    values = [VALUES[name][0] for name in names]
    line = draw(st.sampled_from((*LINES[:1] * 8, *LINES)))
    heads = []
    for _ in range(draw(st.integers(2, 6))):
        for place in draw(st.lists(st.integers(0, len(names) - 1), max_size=3)):
            values[place] = draw(st.sampled_from(VALUES[names[place]]))
        fields = (b"%b: %b\r\n" % pair for pair in zip(names, values, strict=True))
        host = b"" if b"Host" in names else b"Host: t\r\n"
        heads.append(b"%b\r\n%b%b\r\n" % (line, host, b"".join(fields)))
    return heads


def _read(reader: RequestReader, data: bytes) -> dict[str, object] | str:
    """Return all that a reader says of a head, or why it refuses it."""
    try:
        head = reader.read(data)
    except DownstreamError as error:
        return error.reason
    return {name: getattr(head, name) for name in RequestHead.__slots__ if name != "kin"}


def _agree(heads: Iterable[bytes]) -> None:
    """Demand that a reader which has read others reads the same as a new one."""
    reader = RequestReader()
    for data in heads:
        seen = _read(reader, data)
        assert seen == _read(RequestReader(), data)
        if isinstance(seen, str):
            return  # its connection ends


@pytest.mark.parametrize("name", VALUES)
def test_every_value_after_every_other(name: bytes) -> None:
    """In a line that differs for the first time, and in one that has differed before."""
    host = b"" if name == b"Host" else b"Host: t\r\n"
    for values in product(VALUES[name], repeat=3):
        _agree(b"%b\r\n%b%b: %b\r\n\r\n" % (LINES[0], host, name, value) for value in values)


@settings(max_examples=40)
@given(_heads())
def test_a_head_is_read_as_if_it_were_the_first(heads: list[bytes]) -> None:
    """Whatever differs: the same parts, the same bytes go on, the same is refused."""
    _agree(heads)


@settings(max_examples=40)
@given(_heads())
def test_the_gate_is_told_the_same(heads: list[bytes]) -> None:
    """Every fact of the arrival, and every hint that is malformed is counted each time."""
    known, fresh = (ArrivalReader(Identities(), b"salt", lambda: 0, lambda: 0.0) for _ in "ab")
    peer = Peer("192.0.2.1", 7)
    reader = RequestReader()
    for data in heads:
        try:
            one, other = (x.read(data) for x in (reader, RequestReader()))
        except DownstreamError:
            return
        arrivals = known.read(one, peer, 0), fresh.read(other, peer, 0)
        assert len({tuple(getattr(x, name) for name in fields_of(type(x))) for x in arrivals}) == 1
        assert known.n_malformed == fresh.n_malformed


def _post(length: int, more: bytes = b"") -> bytes:
    return b"POST /a HTTP/1.1\r\nHost: t\r\nA: b\r\nContent-Length: %d\r\n%b\r\n" % (length, more)


def test_hints_are_read_once_while_they_stay_the_same() -> None:
    """Lengths differ from call to call; a count of tries that does is read anew."""
    reader = RequestReader()
    tries = b"x-stainless-retry-count: %d\r\n"
    first, second, third = (reader.read(_post(n, tries % 0)) for n in (1, 2, 3))
    assert first.kin is None
    assert second.kin is third.kin is not None
    assert reader.read(_post(3, tries % 0)).kin is third.kin
    assert reader.read(_post(4, tries % 1)).kin is not third.kin


def test_heads_that_are_always_unlike_are_soon_not_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One is now and then; and once they are alike, all are."""
    compared = Mock(side_effect=LastHead.vary, autospec=True)
    monkeypatch.setattr(LastHead, "vary", lambda last, data: compared(last, data))
    reader = RequestReader()
    for n in range(100):
        reader.read(_post(n, b"X%d: y\r\n" % n))
    assert compared.call_count <= MAX_UNLIKE + 100 // N_SKIPPED
    for n in range(N_SKIPPED + 1):
        reader.read(_post(n))
    compared.reset_mock()
    assert reader.read(_post(1000)).kin is reader.read(_post(1001)).kin is not None
    assert compared.call_count == 2


@pytest.mark.parametrize(
    "other",
    [_post(1, b"C: d\r\n"), *(_post(1).replace(b"A: b", x) for x in (b"A:b", b"a: b", b"A b"))],
)
def test_other_lines_are_left_to_the_whole_reading(other: bytes) -> None:
    """One more field, another spelling: nothing is taken for granted."""
    data = _post(1)
    assert LastHead(data, RequestReader().read(data)).vary(other) is None


def test_an_idle_connection_keeps_no_head() -> None:
    """What was forgotten is read as a whole again, and means the same."""
    reader = RequestReader()
    first = reader.read(_post(1))
    reader.forget()
    assert reader.read(_post(1)) is not first


def test_the_sweep_lets_idle_connections_forget() -> None:
    """Those that were busy lately keep what they know."""
    connection = Mock(is_write_paused=False, linger_until_ns=0, n_held_bytes=0, stamp_ns=0)
    connection.settings = Mock(idle_timeout_ns=10 * HEAD_KEPT_NS)
    connection.exchange = None
    sweep_connection(connection, HEAD_KEPT_NS)
    connection.forget_head.assert_not_called()
    sweep_connection(connection, HEAD_KEPT_NS + 1)
    connection.forget_head.assert_called_once()

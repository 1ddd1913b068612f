"""A slot written into a head: only the times change, and nothing else can get in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from governor.proxy.quota import read_retry_after_ns
from governor.proxy.refusals import write_slot

MS = 1_000_000
NAMES = st.sampled_from(
    [b"Retry-After", b"retry-after-ms", b"X-Amz-Retry-After", b"Via", b"X-Retry-After", b"Date"]
)
VALUES = st.binary(max_size=8).filter(lambda x: not set(x) & {0, 10, 13})
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
TIMES = {b"retry-after", b"retry-after-ms", b"x-amz-retry-after"}


def head_of(fields: list[tuple[bytes, bytes]]) -> bytes:
    """A refusal's head."""
    lines = (b"%b: %b" % field for field in fields)
    return b"\r\n".join((b"HTTP/1.1 429 No", *lines)) + b"\r\n\r\n"


@given(FIELDS, st.integers(1, 60_000_000_000), st.binary(max_size=20))
def test_only_the_times_change(
    fields: list[tuple[bytes, bytes]], wait_ns: int, body: bytes
) -> None:
    """Other fields and the body stay, to the byte and in order; the times say the slot."""
    out = write_slot(head_of(fields) + body, wait_ns)
    head, _, rest = out.partition(b"\r\n\r\n")
    assert rest == body
    lines = head.split(b"\r\n")
    kept = [b"%b: %b" % x for x in fields if x[0].lower() not in TIMES]
    assert [x for x in lines[1:] if x.partition(b":")[0].lower() not in TIMES] == kept
    told_ns = read_retry_after_ns(head + b"\r\n\r\n", 0.0)
    assert wait_ns <= told_ns < wait_ns + MS
    seconds = [int(x[13:]) for x in lines if x.startswith(b"Retry-After: ")]
    assert len(seconds) == 1
    assert wait_ns <= seconds[0] * 1_000 * MS < wait_ns + 1_000 * MS


@given(FIELDS)
def test_no_retry_adds_one_line(fields: list[tuple[bytes, bytes]]) -> None:
    """Everything else is as it was, the upstream's own time too."""
    head = head_of(fields)
    assert write_slot(head, 0) == head[:-2] + b"X-Should-Retry: false\r\n\r\n"


def test_an_upstreams_own_word_on_retries_stays() -> None:
    """It is neither removed nor said twice."""
    head = b"HTTP/1.1 429 No\r\nx-should-retry: true\r\n\r\n"
    assert write_slot(head, 0) == head
    assert b"x-should-retry: true\r\n" in write_slot(head, 1_000 * MS)

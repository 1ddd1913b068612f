"""Reading heads one after another on one connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.errors import DownstreamError
from governor.proxy.request_reader import RequestReader

HEADS = [
    b"GET /a HTTP/1.1\r\nHost: t\r\n\r\n",
    b"GET /b HTTP/1.1\r\nHost: t\r\n\r\n",
    b"POST /c HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n",
    b"POST /d HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /e HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET /f HTTP/1.0\r\n\r\n",
    b"GET /f HTTP/1.1\r\nHost: t\r\nProxy-Connection: close\r\n\r\n",
    b"GET /g HTTP/1.1\r\nHost: t\r\nX: " + b"x" * 2_000 + b"\r\n\r\n",
    "GET /ü HTTP/1.1\r\nHost: t\r\n\r\n".encode(),
]


@given(st.lists(st.sampled_from(HEADS), min_size=1, max_size=12))
def test_what_a_head_says_does_not_depend_on_those_before(heads: list[bytes]) -> None:
    """A reader that has read others reads the same as a new one."""
    reader = RequestReader()
    for data in heads:
        head, fresh = reader.read(data), RequestReader().read(data)
        for name in ("method", "target", "version", "block", "content_length", "is_chunked",
                     "keep_alive", "upgrade", "headers", "host"):  # fmt: skip
            assert getattr(head, name) == getattr(fresh, name)


def test_a_refused_head_is_not_remembered() -> None:
    """Sent again, it is refused again."""
    for _ in range(2):
        with pytest.raises(DownstreamError):
            RequestReader().read(b"GET / HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\n")

"""Chunked coding: taken off however it is cut, refused wherever two readers could differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.proxy.framing import ChunkedReader, FramingError, encode_chunk
from tests.proxy.test_malformed import BAD_CHUNKS


def decode(wire: bytes, cuts: list[int]) -> tuple[bytes, list[bytes], bytes]:
    """Body, trailers and what lies beyond, fed in pieces."""
    reader = ChunkedReader()
    body = b""
    start = 0
    for cut in [*sorted(set(cuts)), len(wire)]:
        pieces, used = reader.feed(wire[start:cut])
        body += b"".join(pieces)
        if reader.is_done:
            return body, reader.trailers, wire[start + used :]
        assert used == cut - start
        start = cut
    raise AssertionError("not done")


@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=6),
    st.lists(st.integers(1, 2_000), max_size=20),
    st.binary(max_size=20),
)
def test_any_cutting_decodes_the_same(parts: list[bytes], cuts: list[int], beyond: bytes) -> None:
    """Body, trailers and the first byte of the next message are found wherever the wire is cut."""
    wire = (
        b"".join(b"%x;a=b\r\n%b\r\n" % (len(x), x) for x in parts) + b"0\r\nX: 1\r\n\r\n" + beyond
    )
    cuts = [cut for cut in cuts if cut < len(wire)]
    assert decode(wire, cuts) == (b"".join(parts), [b"X: 1\r\n"], beyond)


@pytest.mark.parametrize("chunk", BAD_CHUNKS)
@pytest.mark.parametrize("is_cut", [False, True])
def test_bad_chunks_are_refused(chunk: bytes, is_cut: bool) -> None:
    """Each refusal holds for the wire in one piece and byte by byte."""
    wire = chunk + b"0\r\n\r\n"
    reader = ChunkedReader()
    with pytest.raises(FramingError):  # noqa: PT012 - any of the feeds
        for piece in [wire[i : i + 1] for i in range(len(wire))] if is_cut else [wire]:
            reader.feed(piece)


def test_fields_that_frame_or_route_are_dropped_from_trailers() -> None:
    """A trailer cannot change what the head said."""
    wire = b"0\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\nHost: y\r\nX-Ok: 1\r\n\r\n"
    reader = ChunkedReader()
    reader.feed(wire)
    assert reader.encode_end() == b"0\r\nX-Ok: 1\r\n\r\n"


def test_no_bytes_make_no_chunk() -> None:
    """An empty chunk would end the body."""
    assert encode_chunk([]) == encode_chunk([b""]) == encode_chunk([b"", b""]) == b""

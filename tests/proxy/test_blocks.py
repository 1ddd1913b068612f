"""One line of a block can go or change without touching the others."""

from __future__ import annotations

import doctest

from hypothesis import given
from hypothesis import strategies as st

from governor.proxy import blocks
from governor.proxy.blocks import cut_block, cut_block_at, join_fields, replace_line

_FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b"A", b"a", b"Host", b"X-Host", b"HostX"]),
        st.sampled_from([b"", b"b", b"Host: x", b"A:"]),
    ),
    min_size=1,
    max_size=6,
)


def test_examples() -> None:
    """The examples in the docstrings hold."""
    assert doctest.testmod(blocks).failed == 0


@given(fields=_FIELDS, idx=st.integers(0, 5))
def test_cutting_equals_joining_what_is_left(fields: list[tuple[bytes, bytes]], idx: int) -> None:
    """Of several lines with a name the first one goes, and no other byte."""
    received = b"GET / HTTP/1.1\r\n" + join_fields(fields) + b"\r\n\r\n"
    assert cut_block(received) == join_fields(fields)
    name = fields[idx % len(fields)][0]
    first = next(n for n, field in enumerate(fields) if field[0] == name)
    left = fields[:first] + fields[first + 1 :]
    assert cut_block_at(received, received.index(b"\r\n" + name + b":")) == join_fields(left)
    other = [*fields[:first], (name, b"new"), *fields[first + 1 :]]
    assert replace_line(join_fields(fields), name, b"new") == join_fields(other)

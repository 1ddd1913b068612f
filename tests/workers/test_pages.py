"""A page is read whole, or not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from governor.workers.pages import HEAD_BYTES, read_page, write_page


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_what_was_written_last_is_read(pages: list[bytes]) -> None:
    """Longer or shorter than the one before; what does not fit changes nothing."""
    memory = memoryview(bytearray(HEAD_BYTES + 2 * 32))
    shown = b""
    for data in pages:
        assert write_page(memory, data) == (len(data) <= 32)
        shown = data if len(data) <= 32 else shown
        assert read_page(memory) == shown


def test_a_writer_killed_while_it_writes_leaves_what_was_shown() -> None:
    """The half that is filled is not the half that is shown."""
    memory = memoryview(bytearray(HEAD_BYTES + 2 * 32))
    write_page(memory, b"whole")
    memory[HEAD_BYTES : HEAD_BYTES + 5] = b"XXXXX"  # the other half
    assert read_page(memory) == b"whole"

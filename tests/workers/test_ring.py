"""The ring between two processes: nothing lost, torn or put in another order, whoever dies."""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections import deque
from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.workers.ring import ASLEEP, RingReader, RingWriter, size_bytes

SLOT_BYTES = 32
RECORD = Struct("<qqqq")


def make_memory(n_slots: int) -> memoryview:
    """Return zeroed memory for a ring."""
    return memoryview(mmap.mmap(-1, size_bytes(n_slots, SLOT_BYTES)))


def write(writer: RingWriter, number: int) -> bool:
    """Write one record whose four words agree; return whether there was room."""
    place = writer.place()
    if place < 0:
        return False
    RECORD.pack_into(writer.memory, place, number, ~number, number, ~number)
    writer.publish()
    return True


def read(reader: RingReader) -> int | None:
    """Read one record, if there is one, and see that it is whole."""
    place = reader.peek()
    if place < 0:
        return None
    number, *others = RECORD.unpack_from(reader.memory, place)
    assert others == [~number, number, ~number]
    reader.step()
    return int(number)


@given(
    size=st.sampled_from([1, 2, 8]),
    steps=st.lists(st.sampled_from(["write", "read", "new writer", "new reader"]), max_size=80),
)
def test_what_is_written_is_read_once_in_order(size: int, steps: list[str]) -> None:
    """Across wrap-around, and whoever takes over either end; a full ring refuses."""
    memory = make_memory(size)
    writer, reader = RingWriter(memory, SLOT_BYTES), RingReader(memory, SLOT_BYTES)
    model: deque[int] = deque()
    for number, step in enumerate(steps):
        if step == "write":
            assert write(writer, number) == (len(model) < size)
            if len(model) < size:
                model.append(number)
        elif step == "read":
            assert read(reader) == (model.popleft() if model else None)
        elif step == "new writer":
            writer = RingWriter(memory, SLOT_BYTES)
        else:
            reader = RingReader(memory, SLOT_BYTES)
    assert [read(reader) for _ in model] == list(model)
    assert read(reader) is None


def test_half_a_record_is_never_seen() -> None:
    """A writer that dies before it publishes has written nothing; the next writes over it."""
    memory = make_memory(4)
    writer, reader = RingWriter(memory, SLOT_BYTES), RingReader(memory, SLOT_BYTES)
    write(writer, 1)
    RECORD.pack_into(memory, writer.place(), 7, 7, 0, 0)
    assert read(reader) == 1
    assert read(reader) is None
    write(RingWriter(memory, SLOT_BYTES), 2)
    assert read(reader) == 2


def test_a_writer_killed_at_any_moment_leaves_a_ring_that_reads_well() -> None:
    """Two processes; the writing one is killed while it writes as fast as it can."""
    memory = make_memory(64)
    pid = os.fork()
    if pid == 0:
        writer = RingWriter(memory, SLOT_BYTES)
        number = 0
        while True:
            number += write(writer, number)
    reader = RingReader(memory, SLOT_BYTES)
    expected = 0
    until_s = time.monotonic() + 5.0
    try:
        while expected < 2_000 and time.monotonic() < until_s:
            if (seen := read(reader)) is not None:
                assert seen == expected
                expected += 1
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert expected == 2_000
    while (seen := read(reader)) is not None:
        assert seen == expected
        expected += 1
    write(RingWriter(memory, SLOT_BYTES), expected)
    assert read(reader) == expected


def test_a_new_reader_may_drop_what_was_meant_for_the_one_before() -> None:
    """Dropping empties the ring and says how much it was."""
    memory = make_memory(8)
    writer = RingWriter(memory, SLOT_BYTES)
    for number in range(5):
        write(writer, number)
    reader = RingReader(memory, SLOT_BYTES)
    read(reader)
    assert reader.skip_all() == 4
    assert read(reader) is None
    assert all(write(writer, number) for number in range(8))


def test_who_goes_to_sleep_hears_of_what_came_meanwhile() -> None:
    """Sleeping says whether something is unread; a writer learns how fast asleep the reader is."""
    memory = make_memory(4)
    writer, reader = RingWriter(memory, SLOT_BYTES), RingReader(memory, SLOT_BYTES)
    assert not reader.sleep(2)
    writer.place()
    assert writer.publish() == 2
    assert reader.sleep(1)
    assert memory.cast("q")[ASLEEP] == 1


@pytest.mark.parametrize("n_slots", [0, 3, 12])
def test_a_ring_has_a_power_of_two_of_places(n_slots: int) -> None:
    """Anything else is refused: places are found with a mask."""
    with pytest.raises(ValueError, match="power of 2"):
        RingWriter(make_memory(n_slots), SLOT_BYTES)

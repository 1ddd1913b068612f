"""The file: whole blocks survive what happens to a file, and nothing else is believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governor.record.events import EVENT_DTYPE, REASONS, Kind, make_events
from governor.record.store import (
    MAX_BLOCK_RECORDS,
    VERSION,
    RecordingError,
    decode,
    encode_blocks,
    encode_header,
    read,
)

CONFIG = {"upstreams": {"tools": {"n_endpoints": 1}}, "policies": {}}


def make_file(path: Path, n: int = 3 * MAX_BLOCK_RECORDS) -> tuple[bytes, np.ndarray]:
    """Write a file of ``n`` arrivals; return its bytes and its records."""
    rng = np.random.default_rng(1)
    events = make_events(n)
    events["t_ns"] = np.cumsum(rng.integers(0, 1 << 30, n))
    events["kind"] = Kind.ARRIVE
    for name in ("flow", "fingerprint", "attempt", "number"):
        events[name] = rng.integers(0, 1 << 30, n)
    data = encode_header(CONFIG, 1, 2, 3, 0) + b"".join(encode_blocks(0, events))
    path.write_bytes(data)
    return data, events


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every field of every record comes back."""
    _, events = make_file(tmp_path / "a")
    recording = read(tmp_path / "a")
    assert np.array_equal(recording.events, events)
    assert recording.is_whole
    assert recording.upstreams == ("tools",)
    assert recording.reasons == REASONS


@pytest.mark.parametrize("n_cut", [1, 7, 1_000, 50_000])
def test_a_cut_off_tail_costs_its_block_only(tmp_path: Path, n_cut: int) -> None:
    """A file that ends in the middle of a write gives all blocks before that."""
    data, events = make_file(tmp_path / "a")
    (tmp_path / "a").write_bytes(data[:-n_cut])
    recording = read(tmp_path / "a")
    n = len(recording.events)
    assert n == 2 * MAX_BLOCK_RECORDS
    assert np.array_equal(recording.events, events[:n])
    assert recording.n_bytes_skipped > 0


def test_a_broken_block_is_skipped_and_counted(tmp_path: Path) -> None:
    """One wrong byte loses one block; what follows is read, and the gap is told."""
    data, events = make_file(tmp_path / "a")
    marks = [i for i in range(len(data)) if data.startswith(b"GVBK", i)]
    wrong = bytearray(data)
    wrong[marks[1] + 200] ^= 1
    (tmp_path / "a").write_bytes(bytes(wrong))
    recording = read(tmp_path / "a")
    assert len(recording.events) == 2 * MAX_BLOCK_RECORDS
    assert np.array_equal(recording.events[MAX_BLOCK_RECORDS:], events[-MAX_BLOCK_RECORDS:])
    assert recording.n_lost == MAX_BLOCK_RECORDS
    assert not recording.is_whole


def test_other_files_and_other_versions_are_refused(tmp_path: Path) -> None:
    """A message says what the file is not; nothing is guessed."""
    path = tmp_path / "a"
    data, _ = make_file(path, 10)
    for wrong, words in (
        (b"PK\x03\x04" * 10, "no recording"),
        (b"", "no recording"),
        (data[:6] + (VERSION + 1).to_bytes(2, "little") + data[8:], f"version {VERSION + 1}"),
        (data[:30] + b"\0" + data[31:], "broken header"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(RecordingError, match=words):
            read(path)


def test_what_a_place_held_before_is_not_written(tmp_path: Path) -> None:
    """A record without a tail carries none of the one whose place it took."""
    events = make_events(1)
    events["fingerprint"], events["kind"] = 77, Kind.DEPART
    data = encode_header(CONFIG, 1, 2, 3, 0) + b"".join(encode_blocks(0, events))
    (tmp_path / "a").write_bytes(data)
    assert read(tmp_path / "a").events["fingerprint"][0] == 0
    assert "fingerprint" in (EVENT_DTYPE.names or ())


N_SMALL = 3
SMALL = 6


def make_small() -> tuple[bytes, list[int], np.ndarray]:
    """Return a file of four blocks, where each begins and the last ends, and its records."""
    events = make_events(N_SMALL * SMALL)
    events["t_ns"] = 1_000 + np.arange(len(events)) ** 3
    events["kind"] = Kind.ARRIVE
    events["number"] = events["flow"] = 1 + np.arange(len(events))
    data = encode_header(CONFIG, 1, 2, 3, 0)
    ends = [len(data)]
    for start in range(0, len(events), SMALL):
        data += b"".join(encode_blocks(start, events[start : start + SMALL]))
        ends.append(len(data))
    return data, ends, events


def test_a_cut_at_every_byte_keeps_all_whole_blocks_before_it() -> None:
    """Nothing but a clear error, and that only where not even the header is whole."""
    data, ends, events = make_small()
    for n in range(len(data)):
        if n < ends[0]:
            with pytest.raises(RecordingError, match=r"a\.rec is (empty|cut off)|broken header"):
                decode(data[:n], "a.rec")
            continue
        recording = decode(data[:n], "a.rec")
        n_blocks = sum(end <= n for end in ends) - 1
        assert np.array_equal(recording.events, events[: n_blocks * SMALL])
        assert recording.n_bytes_skipped == n - ends[n_blocks]
        assert recording.is_whole


def test_a_wrong_byte_anywhere_costs_its_block_and_is_told() -> None:
    """All other blocks are as they were written, those before the damage among them."""
    data, ends, events = make_small()
    for place in range(len(data)):
        wrong = bytearray(data)
        wrong[place] ^= 1 + place % 255
        if place < ends[0]:
            with pytest.raises(RecordingError, match=r"no recording|version|broken header"):
                decode(bytes(wrong), "a.rec")
            continue
        recording = decode(bytes(wrong), "a.rec")
        block = sum(end <= place for end in ends) - 1
        kept = np.delete(events, range(block * SMALL, (block + 1) * SMALL))
        assert np.array_equal(recording.events, kept)
        assert recording.n_bytes_skipped == ends[block + 1] - ends[block]
        assert recording.n_lost == (SMALL if block < N_SMALL - 1 else 0)
        assert recording.is_whole is (block == N_SMALL - 1)


@settings(max_examples=50)
@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_give_records_or_a_clear_error(garbage: bytes, n_kept: int) -> None:
    """What follows a whole header is never believed without its checksum."""
    data, ends, events = make_small()
    broken = data[: ends[1]] + garbage + data[ends[1] : ends[1] + n_kept]
    recording = decode(broken, "a.rec")
    assert np.array_equal(recording.events, events[: len(recording.events)])
    assert len(recording.events) >= SMALL

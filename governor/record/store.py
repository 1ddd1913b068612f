"""The file of a recording: a header, then blocks that each stand for themselves.

*Rule of this file*: bytes to records and back. Who writes when is the recorder's.

*Theory*: a process dies in the middle of a write, and the seconds before are the ones
that matter. So a block is whole or it is nothing: it says how long it is and what its
checksum, over that and all else in it, is. A reader takes every whole block; at a broken one
it looks for the next mark, counts what it skipped, and says so.

::

    file   = "GOVREC" version(u16) header block*
    header = size(u32) crc32(u32) JSON
    block  = "GVBK" records(u32) first(u64) size(u32) crc32(u32) zlib(columns)
             (the checksum is of records, first, size and the compressed columns)

``first`` is the number of the block's first record since the process started: a gap
shows what the ring lost. Columns, not rows, are compressed: equal bytes lie together.
The header's JSON: ``fields`` (name and type of each), ``reasons`` (words by number),
``config`` and ``config_id`` (what the gates were made from, without addresses), ``salt``
(of the checksums of request ids), ``unix_ns`` and ``monotonic_ns`` (the same instant),
``first`` (number of the first record; 0: nothing before is missing).

A reader refuses a version that it does not know; fields are found by name, so a later
version may add some.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
import orjson

from governor.errors import GovernorError
from governor.record.events import (
    EVENT_DTYPE,
    KINDS_WITH_TAIL,
    REASONS,
    TAIL_FIELDS,
    make_events,
)
from governor.record.ring import Events

MAGIC = b"GOVREC"
VERSION = 3
"""3: a block's checksum covers its numbers too. 2: 104 bytes a record."""
MARK = b"GVBK"

_PREFIX = Struct("<6sH")
_HEADER = Struct("<II")
_BLOCK = Struct("<4sIQII")
_NUMBERS = Struct("<IQI")

MAX_BLOCK_RECORDS = 1 << 13
"""A larger block loses more when it is the one that was cut off: 0.7 MB before compression."""

MAX_HEADER_BYTES = 1 << 20

LEVEL = 1
"""Of zlib: twice as fast as its default and a few per cent larger on such columns."""


class RecordingError(GovernorError):
    """A file that is no recording, or one of a version that is not known here."""

    default_reason = "bad_recording"


class Recording(NamedTuple):
    """What a file holds."""

    header: dict[str, Any]
    events: Events
    n_lost: int
    """Records that are missing before the last."""
    n_bytes_skipped: int
    """Of broken blocks, a cut-off tail included."""

    @property
    def is_whole(self) -> bool:
        """Whether it begins with the process and nothing is missing: it replays exactly."""
        return self.header.get("first") == 0 and not self.n_lost

    @property
    def reasons(self) -> tuple[str, ...]:
        """Words by number."""
        return tuple(self.header["reasons"])

    @property
    def upstreams(self) -> tuple[str, ...]:
        """Names by number."""
        return tuple(self.header["config"]["upstreams"])


def config_id(config: dict[str, Any]) -> str:
    """Return what tells one configuration from another."""
    text = orjson.dumps(config, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:16]


def encode_header(
    config: dict[str, Any], salt: int, unix_ns: int, monotonic_ns: int, first: int
) -> bytes:
    """Return the beginning of a file."""
    header = {
        "fields": [[name, EVENT_DTYPE[name].str] for name in EVENT_DTYPE.names or ()],
        "reasons": REASONS,
        "config": config,
        "config_id": config_id(config),
        "salt": salt,
        "unix_ns": unix_ns,
        "monotonic_ns": monotonic_ns,
        "first": first,
    }
    text = orjson.dumps(header)
    return _PREFIX.pack(MAGIC, VERSION) + _HEADER.pack(len(text), zlib.crc32(text)) + text


def encode_blocks(first: int, events: Events) -> Iterator[bytes]:
    """Yield records as blocks; runs in a thread of the recorder."""
    for start in range(0, len(events), MAX_BLOCK_RECORDS):
        rows = events[start : start + MAX_BLOCK_RECORDS]
        has_tail = np.isin(rows["kind"], KINDS_WITH_TAIL)
        columns = []
        for name in EVENT_DTYPE.names or ():
            column = rows[name]
            if name in TAIL_FIELDS:  # else it holds what stood there before
                column = np.where(has_tail, column, 0).astype(EVENT_DTYPE[name])
            elif name == "t_ns":  # differences are small where instants are not
                column = np.diff(column, prepend=np.int64(0))
            columns.append(np.ascontiguousarray(column).tobytes())
        data = zlib.compress(b"".join(columns), LEVEL)
        numbers = (len(rows), first + start, len(data))
        crc = zlib.crc32(data, zlib.crc32(_NUMBERS.pack(*numbers)))
        yield _BLOCK.pack(MARK, *numbers, crc) + data


def read(path: Path) -> Recording:
    """Return what a file holds.

    Raises
    ------
    RecordingError
        If it is no recording or of an unknown version.
    OSError
        If it cannot be read.
    """
    return decode(path.read_bytes(), path.name)


def decode(data: bytes, name: str) -> Recording:
    """Return what the bytes of a file hold; ``name`` is for messages."""
    header, at = _read_header(data, name)
    dtype = np.dtype([(str(name), str(code)) for name, code in header["fields"]])
    blocks: list[_Block] = []
    expected = int(header["first"])
    n_lost = n_skipped = 0
    while at < len(data):
        block = _find_block(data, at)
        if block is None:
            after = data.find(MARK, at + 1)
            n_skipped += (len(data) if after < 0 else after) - at
            at = len(data) if after < 0 else after
            continue
        at = block.end
        n_lost += max(0, block.first - expected)
        n_known = max(0, expected - block.first)
        if n_known < block.n_rows:
            blocks.append(block._replace(n_known=n_known))
            expected = block.first + block.n_rows
    events = np.zeros(sum(x.n_rows - x.n_known for x in blocks), dtype)
    row = 0
    for block in blocks:
        n_new = block.n_rows - block.n_known
        _unpack(data[block.begin : block.end], block, events[row : row + n_new])
        row += n_new
    return Recording(header, _as_known(events, header["reasons"]), n_lost, n_skipped)


def _read_header(data: bytes, name: str) -> tuple[dict[str, Any], int]:
    if not data:
        raise RecordingError(f"{name} is empty: no recording of Governor")
    if not data.startswith(MAGIC[: len(data)]):
        raise RecordingError(f"{name} is no recording of Governor: its first bytes are others")
    if len(data) < _PREFIX.size + _HEADER.size:
        raise RecordingError(f"{name} is cut off in its header: nothing in it can be read")
    _, version = _PREFIX.unpack_from(data)
    if version != VERSION:
        raise RecordingError(
            f"{name} is a recording of version {version}; this Governor reads {VERSION}"
        )
    size, crc = _HEADER.unpack_from(data, _PREFIX.size)
    begin = _PREFIX.size + _HEADER.size
    text = data[begin : begin + min(size, MAX_HEADER_BYTES)]
    if len(text) < size or zlib.crc32(text) != crc:
        raise RecordingError(f"{name} has a broken header: nothing in it can be trusted")
    header: dict[str, Any] = orjson.loads(text)
    return header, begin + size


class _Block(NamedTuple):
    """A whole block, still packed."""

    first: int
    n_rows: int
    begin: int
    end: int
    """Of its packed columns."""
    n_known: int = 0
    """Of its records, those that a block before had as well."""


def _find_block(data: bytes, at: int) -> _Block | None:
    """Return the block that begins here; None where it is not whole."""
    if len(data) - at < _BLOCK.size:
        return None
    mark, n_rows, first, size, crc = _BLOCK.unpack_from(data, at)
    begin = at + _BLOCK.size
    if mark != MARK or n_rows > MAX_BLOCK_RECORDS or len(data) - begin < size:
        return None
    packed = data[begin : begin + size]
    if zlib.crc32(packed, zlib.crc32(_NUMBERS.pack(n_rows, first, size))) != crc:
        return None
    return _Block(first, n_rows, begin, begin + size)


def _unpack(packed: bytes, block: _Block, rows: Events) -> None:
    """Fill in the records of a block, but for those that are known."""
    n_bytes = block.n_rows * rows.dtype.itemsize
    columns = zlib.decompressobj().decompress(packed, n_bytes + 1)
    if len(columns) != n_bytes:
        raise RecordingError("a block says that it is whole and is not: nobody here wrote it")
    offset = 0
    for name in rows.dtype.names or ():
        column = np.frombuffer(columns, rows.dtype[name], block.n_rows, offset)
        whole = np.cumsum(column) if name == "t_ns" else column
        rows[name] = whole[block.n_known :]
        offset += block.n_rows * rows.dtype[name].itemsize


def _as_known(events: Events, reasons: list[str]) -> Events:
    """Return records as this version has them: its fields, its numbers of reasons.

    A field that the file does not have is 0, a reason that is not known here ``UNKNOWN``.
    """
    known = events
    if events.dtype != EVENT_DTYPE:
        known = make_events(len(events))
        for name in EVENT_DTYPE.names or ():
            if name in (events.dtype.names or ()):
                known[name] = events[name]
    if tuple(reasons) != REASONS:
        codes = [REASONS.index(word) if word in REASONS else UNKNOWN for word in reasons]
        table = np.full(256, UNKNOWN, np.uint8)
        table[: len(codes)] = codes
        known["reason"] = table[known["reason"]]
    return known


UNKNOWN = 255
"""A reason of another version."""

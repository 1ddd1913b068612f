"""Mooncake's traces: JSON a line with timestamp (ms), input_length, output_length, hash_ids.

*Rule of this file*: reading only. A conversation is known by the first block of its prompt
after the shared one, for the trace names nobody; holding times are estimated from tokens.

*Source*: kvcache-ai/Mooncake, FAST25-release.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson

from governor.record.readers import base
from governor.record.readers.base import BadLine, Problems, Row


def read(path: Path, problems: Problems) -> Iterator[Row]:
    """Yield the calls of a file."""
    return base.rows_of(base.lines_of(path, problems), problems, _read_line)


def _read_line(text: str) -> Row:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise BadLine("line", "must be a JSON object")
    at_s = base.number(value.get("timestamp"), "timestamp") / 1e3
    n_tokens = base.number(value.get("output_length"), "output_length")
    ids = value.get("hash_ids")
    name = str(ids[1]) if isinstance(ids, list) and len(ids) > 1 else ""
    return Row(at_s, base.seconds_of_tokens(n_tokens), flow=name)

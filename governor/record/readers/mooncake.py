"""Mooncake's traces: JSON a line with timestamp (ms), input_length, output_length, hash_ids.

*Rule of this file*: reading only. A conversation is known by the first block of its prompt
after the shared one, for the trace names nobody; holding times are estimated from tokens.

*Source*: kvcache-ai/Mooncake, FAST25-release.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson

from governor.record.readers.base import (
    BadLine,
    Problems,
    Row,
    lines_of,
    number,
    seconds_of_tokens,
)


def read(path: Path, problems: Problems) -> Iterator[Row]:
    """Yield the calls of a file."""
    for line, text in lines_of(path):
        try:
            try:
                value = orjson.loads(text)
            except orjson.JSONDecodeError:
                raise BadLine("line", "must be a JSON object") from None
            if not isinstance(value, dict):
                raise BadLine("line", "must be a JSON object")
            at_s = number(value.get("timestamp"), "timestamp") / 1e3
            held_s = seconds_of_tokens(number(value.get("output_length"), "output_length"))
            ids = value.get("hash_ids")
            name = str(ids[1]) if isinstance(ids, list) and len(ids) > 1 else ""
            yield Row(at_s, held_s, flow=name)
        except BadLine as error:
            problems.add(line, error)

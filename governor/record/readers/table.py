"""CSV with a header: t_s, and of agent, session, latency_s, out_size, status, target what there is.

*Rule of this file*: reading only; columns are found by name.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from governor.record.readers.base import (
    UNKNOWN_S,
    BadLine,
    Problems,
    Row,
    lines_of,
    number,
    seconds_of_tokens,
)


def read(path: Path, problems: Problems) -> Iterator[Row]:
    """Yield the calls of a file."""
    lines = lines_of(path)
    _, head = next(lines, (0, ""))
    names = next(csv.reader([head]), [])
    for line, text in lines:
        values = dict(zip(names, next(csv.reader([text])), strict=False))
        try:
            yield _read_line(values)
        except BadLine as error:
            problems.add(line, error)


def _read_line(values: dict[str, str]) -> Row:
    held_s = UNKNOWN_S
    if values.get("latency_s"):
        held_s = number(values["latency_s"], "latency_s")
    elif values.get("out_size"):
        held_s = seconds_of_tokens(number(values["out_size"], "out_size"))
    return Row(
        number(values.get("t_s"), "t_s"),
        held_s,
        flow=values.get("agent", ""),
        tree=values.get("session", ""),
        tenant=values.get("tenant", ""),
        kind=values.get("target", ""),
        status=int(number(values.get("status") or 200, "status")),
    )

"""Rows of a recorded trace: when, who, for how long. Read by header name.

*Rule of this file*: reading only; nothing is sent from here.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.children import BenchError

TOKENS_PER_S = 50.0
FIRST_TOKEN_S = 0.5
"""Where a trace has no latency: an LLM of ordinary speed, from the reply's tokens."""
UNKNOWN_S = 1.0


@dataclass(frozen=True)
class Row:
    """One recorded call. ``t_s`` and ``latency_s`` are on the recording's own clock."""

    t_s: float
    agent: str
    session: str
    latency_s: float


def latency_of(row: dict[str, str]) -> float:
    """Return the recorded latency, else an estimate from the size of the reply."""
    if row.get("latency_s"):
        return float(row["latency_s"])
    if row.get("out_size"):
        return FIRST_TOKEN_S + float(row["out_size"]) / TOKENS_PER_S
    return UNKNOWN_S


def read_rows(path: Path, time_column: str = "t_s", limit: int = 0) -> list[Row]:
    """Return the rows in order of time; ``limit`` 0 means all."""
    if not path.exists():
        raise BenchError(f"{path} does not exist")

    def parse() -> Iterator[Row]:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", newline="") as text:
            reader = csv.DictReader(text)
            if time_column not in (reader.fieldnames or ()):
                columns = ", ".join(reader.fieldnames or ())
                raise BenchError(f"{path.name} has no column {time_column!r}; it has {columns}")
            for number, row in enumerate(reader):
                if limit and number >= limit:
                    return
                yield Row(
                    float(row[time_column]),
                    row.get("agent", ""),
                    row.get("session", ""),
                    latency_of(row),
                )

    return sorted(parse(), key=lambda row: row.t_s)

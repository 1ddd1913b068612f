"""CSV with a header: t_s, and of agent, session, latency_s, out_size, status, target what there is.

*Rule of this file*: reading only; columns are found by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from governor.record.readers import base
from governor.record.readers.base import Problems, Row


def read(path: Path, problems: Problems) -> Iterator[Row]:
    """Yield the calls of a file."""
    return base.rows_of(base.table_of(path, problems), problems, _read_line)


def _read_line(values: dict[str, str]) -> Row:
    held_s = base.UNKNOWN_S
    if values.get("latency_s"):
        held_s = base.number(values["latency_s"], "latency_s")
    elif values.get("out_size"):
        held_s = base.seconds_of_tokens(base.number(values["out_size"], "out_size"))
    return Row(
        base.number(values.get("t_s"), "t_s"),
        held_s,
        flow=values.get("agent", ""),
        tree=values.get("session", ""),
        tenant=values.get("tenant", ""),
        kind=values.get("target", ""),
        status=int(base.number(values.get("status") or 200, "status")),
    )

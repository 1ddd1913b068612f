"""What every reader of a public format gives, and what it says of lines it cannot read.

*Rule of this file*: a row is numbers and words that name callers; no reader keeps content.
A bad line is counted and named (file, line, field), and reading goes on.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

MAX_SHOWN = 5
"""Bad lines that are named; all are counted."""

FIRST_TOKEN_S = 0.5
TOKENS_PER_S = 50.0
"""Where a trace has no latency: an LLM of ordinary speed, from the reply's tokens."""

UNKNOWN_S = 1.0
"""Where there is neither."""


class Row(NamedTuple):
    """One call of a trace."""

    at_s: float
    """On the trace's own clock."""
    held_s: float
    """For how long the service was at it, recorded or estimated."""
    flow: str = ""
    """Who calls; empty if the trace does not tell."""
    tree: str = ""
    tenant: str = ""
    kind: str = ""
    """What is called; goes into a checksum and nowhere else."""
    status: int = 200


class BadLine(Exception):
    """A line that cannot be read.

    Parameters
    ----------
    field : str
    message : str
        What is allowed.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")


@dataclass
class Problems:
    """The lines of one file that could not be read."""

    name: str
    n_bad: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, line: int, error: Exception) -> None:
        """Count one."""
        self.n_bad += 1
        if len(self.shown) < MAX_SHOWN:
            self.shown.append(f"{self.name}:{line}: {error}")


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is not empty; gzip by the file's name."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", errors="replace", newline="\n") as text:
        for place, line in enumerate(text, start=1):
            if line.strip():
                yield place, line.rstrip("\r\n")


def number(value: object, name: str) -> float:
    """Return a finite number that is not negative.

    Raises
    ------
    BadLine
    """
    try:
        read = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise BadLine(name, "must be a number") from None
    if not 0.0 <= read < 1e18:
        raise BadLine(name, "must be a number, 0 or more")
    return read


def seconds_of_tokens(n_tokens: float) -> float:
    """Return how long an ordinary LLM takes for a reply of so many tokens."""
    return FIRST_TOKEN_S + n_tokens / TOKENS_PER_S

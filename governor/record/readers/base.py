"""What every reader of a public format gives, and what it says of lines it cannot read.

*Rule of this file*: a row is numbers and words that name callers; no reader keeps content.
A bad line is counted and named (file, line, field), and reading goes on. A compressed file
that is cut off or damaged gives what was before the damage.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeVar

MAX_SHOWN = 5
"""Bad lines that are named; all are counted."""

MAX_LINE_CHARS = 256 << 20
"""A longer line is read in pieces, which are bad lines: it must not fill the memory."""

FIRST_TOKEN_S = 0.5
TOKENS_PER_S = 50.0
"""Where a trace has no latency: an LLM of ordinary speed, from the reply's tokens."""

UNKNOWN_S = 1.0
"""Where there is neither."""

_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
"""By a file's first bytes, whatever it is called."""

_DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError)

T = TypeVar("T")


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


def open_text(path: Path) -> TextIO:
    """Return a file's text, unpacked if it is gzip, bzip2 or xz."""
    with path.open("rb") as file:
        begin = file.read(6)
    opener = next((opener for mark, opener in _OPENERS.items() if begin.startswith(mark)), open)
    opened: TextIO = opener(path, "rt", encoding="utf-8", errors="replace", newline="\n")
    return opened


def lines_of(path: Path, problems: Problems | None = None) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is not empty, as far as the file can be read."""
    place = 0
    with open_text(path) as text:
        try:
            while line := text.readline(MAX_LINE_CHARS):
                place += 1
                if line.strip():
                    yield place, line.rstrip("\r\n")
        except _DAMAGE as error:
            if problems is not None:
                told = f"is cut off or damaged from here on ({error})"
                problems.add(place + 1, BadLine("file", told))


def rows_of(
    lines: Iterable[tuple[int, T]], problems: Problems, read_one: Callable[[T], Row]
) -> Iterator[Row]:
    """Yield the rows that lines give; what cannot be read is counted."""
    for line, value in lines:
        try:
            yield read_one(value)
        except BadLine as error:
            problems.add(line, error)


def table_of(path: Path, problems: Problems | None = None) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield number and values by column's name of each line of CSV with a header."""
    lines = lines_of(path, problems)
    _, head = next(lines, (0, ""))
    names = [name.strip() for name in split(head.lstrip("\ufeff"))]
    for line, text in lines:
        yield line, dict(zip(names, split(text), strict=False))


def split(text: str) -> list[str]:
    """Return the cells of one line of CSV."""
    return next(csv.reader([text]), []) if '"' in text else text.split(",")


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

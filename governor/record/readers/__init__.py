"""Public formats as demand to play: one file for each, and which one a file is.

The map: ``base`` (a row, bad lines), then ``azure``, ``mooncake``, ``otlp``, ``clf``,
``har`` and ``table`` (any CSV with a column ``t_s``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from governor.record.readers import azure, clf, har, mooncake, otlp, table
from governor.record.readers.base import Problems, Row, lines_of, split
from governor.record.store import RecordingError

Reader = Callable[[Path, Problems], Iterator[Row]]

READERS: dict[str, Reader] = {
    "azure": azure.read,
    "mooncake": mooncake.read,
    "otlp": otlp.read,
    "clf": clf.read,
    "har": har.read,
    "table": table.read,
}
"""By the word that ``--format`` takes."""

N_LOOKED_AT = 20
"""Lines of a file whose form is guessed."""


def guess(path: Path) -> str:
    """Return which format a file seems to be, from its name and its first lines.

    Raises
    ------
    RecordingError
        If it is none that is known.
    """
    names = {suffix.lower() for suffix in path.suffixes}
    if ".har" in names:
        return "har"
    lines = [text.lstrip("\ufeff") for _, text in islice(lines_of(path), N_LOOKED_AT)]
    head = lines[0] if lines else ""
    if "resourceSpans" in head or ".otlp" in names:
        return "otlp"
    if "TIMESTAMP" in split(head):
        return "azure"
    if head.lstrip().startswith("{"):
        if '"timestamp"' in head:
            return "mooncake"
        begin = "".join(lines)
        return "har" if '"log"' in begin and '"resourceSpans"' not in begin else "otlp"
    if "t_s" in split(head):
        return "table"
    if not lines or any(map(clf.is_line, lines)):
        return "clf"
    known = ", ".join(READERS)
    raise RecordingError(
        f"{path.name} is no recording and no trace of a known form: give --format, one of {known}"
    )

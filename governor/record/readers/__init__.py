"""Public formats as demand to play: one file for each, and which one a file is.

The map: ``base`` (a row, bad lines), then ``azure``, ``mooncake``, ``otlp``, ``clf``,
``har`` and ``table`` (any CSV with a column ``t_s``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from zlib import crc32

from governor.core.arrival import Arrival
from governor.record.calls import Attempt, Demand, Task, count_slots
from governor.record.readers import azure, clf, har, mooncake, otlp, table
from governor.record.readers.base import Problems, Row, lines_of

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

N_TENANTS, N_FLOWS = 4_096, 65_536
"""Places of the identity tables; who finds none shares the first."""

BEGIN_NS = 1_000_000_000
"""Where the trace begins on the made-up clock."""


def guess(path: Path) -> str:
    """Return which format a file seems to be, from its name and its first line."""
    names = {suffix.lower() for suffix in path.suffixes}
    if ".har" in names:
        return "har"
    _, head = next(lines_of(path), (0, ""))
    if "resourceSpans" in head or ".otlp" in names:
        return "otlp"
    if head.lstrip("\ufeff").startswith("TIMESTAMP,"):
        return "azure"
    if head.startswith("{"):
        if '"timestamp"' in head:
            return "mooncake"
        text = "".join(line for _, line in lines_of(path))
        return "har" if '"entries"' in text and '"log"' in text else "otlp"
    return "table" if "t_s" in head.split(",") else "clf"


def demand_of_rows(rows: Iterable[Row]) -> Demand:
    """Return the rows as tasks of one attempt each, in order of time."""
    ordered = sorted(rows, key=lambda row: row.at_s)
    if not ordered:
        return Demand([], [1], None)
    t0_s = ordered[0].at_s
    tenants: dict[str, int] = {}
    flows: dict[str, int] = {}
    trees: dict[str, int] = {}
    tasks = []
    for place, row in enumerate(ordered):
        flow = _index(flows, row.flow or f"\0{place}", N_FLOWS)
        arrival = Arrival(
            _index(tenants, row.tenant, N_TENANTS),
            flow,
            _index(trees, row.tree or f"\0{flow}", N_FLOWS),
            fingerprint=place + 1,
            is_identified=bool(row.flow),
            kind=crc32(row.kind.encode()) & 0xFF,
        )
        held_ns = max(1, int(row.held_s * 1e9))
        is_failed = row.status in (408, 429) or row.status >= 500
        at_ns = BEGIN_NS + int((row.at_s - t0_s) * 1e9)
        tasks.append(Task(at_ns, 0, arrival, [Attempt(held_ns, is_failed)]))
    spans = [(task.at_ns, task.at_ns + task.attempts[0].held_ns) for task in tasks]
    return Demand(tasks, [count_slots(spans)], None)


def _index(table: dict[str, int], name: str, capacity: int) -> int:
    idx = table.get(name)
    if idx is None:
        if len(table) + 1 >= capacity:
            return 0
        idx = table[name] = len(table) + 1
    return idx

"""HAR 1.2: what a browser or a proxy saw, one JSON document.

*Rule of this file*: reading only; bodies and headers in it are not looked at. A page is a
tree, a host's path what is called.

*Source*: the HAR 1.2 specification, section "entries".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from governor.record.readers.base import BadLine, Problems, Row, lines_of, number


def read(path: Path, problems: Problems) -> Iterator[Row]:
    """Yield the calls of a file; where it says line, it is the number of the entry."""
    text = "\n".join(line for _, line in lines_of(path, problems))
    try:
        entries = orjson.loads(text.lstrip("\ufeff"))["log"]["entries"]
        if not isinstance(entries, list):
            raise TypeError
    except (orjson.JSONDecodeError, KeyError, TypeError):
        problems.add(1, BadLine("log.entries", "must be a list in one JSON document"))
        return
    for place, entry in enumerate(entries, start=1):
        try:
            yield _read_entry(entry if isinstance(entry, dict) else {})
        except BadLine as error:
            problems.add(place, error)


def _read_entry(entry: dict[str, Any]) -> Row:
    try:
        at_s = datetime.fromisoformat(str(entry["startedDateTime"])).timestamp()
    except (KeyError, ValueError):
        raise BadLine("startedDateTime", "must be an ISO 8601 instant") from None
    held_s = number(entry.get("time"), "time") / 1e3
    try:
        request, response = entry["request"], entry["response"]
        kind = f"{request['method']} {str(request['url']).partition('?')[0]}"
        status = int(response["status"])
    except (KeyError, TypeError, ValueError):
        raise BadLine("request, response", "must have method, url and status") from None
    page = str(entry.get("pageref", ""))
    return Row(at_s, held_s, flow=page, tree=page, kind=kind, status=status)

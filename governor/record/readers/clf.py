"""Common Log Format, as NASA's logs of 1995 and most web servers write it.

*Rule of this file*: reading only. The clock has steps of a second and there is no time
served: each call is taken to hold its place for ``UNKNOWN_S``.

*Source*: httpd.apache.org/docs/current/logs.html#common.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from governor.record.readers.base import UNKNOWN_S, BadLine, Problems, Row, lines_of, rows_of

_LINE = re.compile(r'(\S+) \S+ .*?\[([^\]]+)\] "(.*)" (\d{3}) (\d+|-)')
_TIME = re.compile(r"(\d\d/\w{3}/\d{4}):([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60) ([+-]\d{4})")


def read(path: Path, problems: Problems) -> Iterator[Row]:
    """Yield the calls of a file."""
    return rows_of(lines_of(path, problems), problems, _read_line)


def is_line(text: str) -> bool:
    """Return whether a line has this form."""
    return _LINE.match(text) is not None


def _read_line(text: str) -> Row:
    match = _LINE.match(text)
    if match is None:
        raise BadLine("line", 'must be as host - - [time] "request" status bytes')
    host, when, request, status, _ = match.groups()
    kind = " ".join(request.split(" ")[:2]).partition("?")[0]
    at_s = parse_time_s(when)
    return Row(at_s, UNKNOWN_S, flow=host, tenant=host, kind=kind, status=int(status))


def parse_time_s(text: str) -> float:
    """Return Unix seconds.

    Examples
    --------
    >>> parse_time_s("01/Jan/1970:01:00:01 +0100")
    1.0
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise BadLine("time", "must be as 01/Aug/1995:00:00:01 -0400")
    day, hour, minute, second, zone = match.groups()
    return _midnight_s(day, zone) + int(hour) * 3600 + int(minute) * 60 + int(second)


@lru_cache(maxsize=256)
def _midnight_s(day: str, zone: str) -> float:
    """Return when a day began there: a log has many lines of few days."""
    try:
        return datetime.strptime(f"{day} {zone}", "%d/%b/%Y %z").timestamp()
    except ValueError:
        raise BadLine("time", "must be as 01/Aug/1995:00:00:01 -0400") from None

"""Common Log Format, as NASA's logs of 1995 and most web servers write it.

*Rule of this file*: reading only. The clock has steps of a second and there is no time
served: each call is taken to hold its place for ``UNKNOWN_S``.

*Source*: httpd.apache.org/docs/current/logs.html#common.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from governor.record.readers.base import UNKNOWN_S, BadLine, Problems, Row, lines_of

_LINE = re.compile(r'(\S+) \S+ .*?\[([^\]]+)\] "(.*)" (\d{3}) (\d+|-)')


def read(path: Path, problems: Problems) -> Iterator[Row]:
    """Yield the calls of a file."""
    for line, text in lines_of(path):
        try:
            match = _LINE.match(text)
            if match is None:
                raise BadLine("line", 'must be as host - - [time] "request" status bytes')
            host, when, request, status, _ = match.groups()
            try:
                at_s = datetime.strptime(when, "%d/%b/%Y:%H:%M:%S %z").timestamp()
            except ValueError:
                raise BadLine("time", "must be as 01/Aug/1995:00:00:01 -0400") from None
            kind = " ".join(request.split(" ")[:2]).partition("?")[0]
            yield Row(at_s, UNKNOWN_S, flow=host, tenant=host, kind=kind, status=int(status))
        except BadLine as error:
            problems.add(line, error)

"""The dashboard's stream, read by a program: frames, silence, coming and going.

*Rule of this file*: bytes to events. What is shown is :mod:`governor.cli.top`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any, NamedTuple

from governor.cli.control_port import NotThere, not_governor, open_control

TIMEOUT_S = 25.0
"""Above the slowest beat of a loaded Governor."""
LINE_MAX = 4_000_000
"""Bytes of one event: a control port that is none must not fill the memory."""


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    page: dict[str, Any]


def read_events(url: str, timeout_s: float = TIMEOUT_S) -> Iterator[Event]:
    """Yield events until the stream ends.

    Raises
    ------
    NotThere
    """
    with open_control(url, "/stream", timeout_s=timeout_s) as answer:
        if answer.headers.get_content_type() != "text/event-stream":
            raise NotThere(not_governor(url))
        try:
            yield from parse_events(iter(lambda: answer.readline(LINE_MAX), b""))
        except (OSError, ValueError, HTTPException) as error:
            raise NotThere(
                f"the stream of {url} broke off: {str(error) or type(error).__name__}"
            ) from None


def parse_events(lines: Iterator[bytes]) -> Iterator[Event]:
    r"""Yield the events in the lines of a stream.

    Examples
    --------
    >>> list(parse_events(iter([b"event: frame\n", b'data: {"t": 1}\n', b"\n"])))
    [Event(name='frame', page={'t': 1})]
    """
    name = "message"
    for line in lines:
        field, _, value = line.strip().partition(b": ")
        if field == b"event":
            name = value.decode()
        elif field == b"data":
            yield Event(name, json.loads(value))

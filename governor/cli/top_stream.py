"""The dashboard's stream, read by a program: frames, silence, coming and going.

*Rule of this file*: bytes to events. What is shown is :mod:`governor.cli.top`'s.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

TIMEOUT_S = 25.0
"""Above the slowest beat of a loaded Governor."""
LINE_MAX = 4_000_000
"""Bytes of one event: a control port that is none must not fill the memory."""


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    page: dict[str, Any]


class NotThere(Exception):
    """Nothing that answers as a Governor's control port; the text says what was found."""


def read_events(url: str, timeout_s: float = TIMEOUT_S) -> Iterator[Event]:
    """Yield events until the stream ends.

    Raises
    ------
    NotThere
    """
    if not url.startswith(("http://", "https://")):
        raise NotThere(f"{url} is no address: give one such as http://127.0.0.1:9090")
    address = f"{url.rstrip('/')}/stream"
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address, timeout=timeout_s) as answer:
            kind = answer.headers.get_content_type()
            if kind != "text/event-stream":
                raise NotThere(f"{url} answers, but not as Governor's control port does")
            yield from parse_events(iter(lambda: answer.readline(LINE_MAX), b""))
    except urllib.error.HTTPError as error:
        raise NotThere(_say_status(url, error)) from None
    except urllib.error.URLError as error:
        raise NotThere(f"nothing answers at {url}: {error.reason}") from None
    except (OSError, ValueError) as error:
        raise NotThere(f"{url}: {str(error) or type(error).__name__}") from None


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


def _say_status(url: str, error: urllib.error.HTTPError) -> str:
    if error.code == 503:
        return f"{url}: as many watch as may; one has to leave first"
    if error.code == 404:
        return f"{url} answers, but has no stream: not a control port, or an older Governor"
    return f"{url} answers {error.code} {error.reason}"

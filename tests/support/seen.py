"""What an origin received, without what a proxy may change."""

from __future__ import annotations

from typing import Any

from tests.support.compare import end_to_end
from tests.support.origin import Received


def seen(requests: list[Received], but: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    """Method, exact target, end-to-end fields but Host, body and trailers of each request."""
    return [
        (r.method, r.target, end_to_end(r.fields, ["host", *but]), r.body, r.trailers)
        for r in requests
    ]


def n_connections(requests: list[Received]) -> int:
    """On how many TCP connections `requests` came."""
    return len({request.connection for request in requests})

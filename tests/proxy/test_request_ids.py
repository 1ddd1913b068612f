"""Ids of requests that bring none are distinct."""

from __future__ import annotations

from governor.proxy.request_ids import new_request_id


def test_made_request_ids_are_distinct() -> None:
    """No two requests of a process share an id."""
    assert len({new_request_id() for _ in range(1_000)}) == 1_000

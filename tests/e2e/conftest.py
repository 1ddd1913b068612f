"""The raw origin and one Governor in front of it, for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from tests.support.governed import Front, Governor, front
from tests.support.origin import Origin
from tests.support.origin_answers import ANSWERS


@dataclass(frozen=True)
class Site:
    """The origin, its own base URL, and the base URL of Governor in front of it."""

    server: Origin
    direct: str
    governed: str
    front: Front

    @property
    def governor(self) -> Governor:
        """The governor process; skips where a forwarder stands in for it."""
        if not isinstance(self.front, Governor):
            pytest.skip("about the governor process; a forwarder stands in for it")
        return self.front


@pytest.fixture(scope="session")
def _session_site() -> Iterator[Site]:
    with closing(Origin(ANSWERS)) as server, closing(front({"origin": server.url})) as before:
        yield Site(server, server.url, before.urls["origin"], before)
        if isinstance(before, Governor):
            before.require_peace()


@pytest.fixture
def origin(_session_site: Site) -> Site:
    """The origin with nothing left to take."""
    _session_site.server.take()
    return _session_site

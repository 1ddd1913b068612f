"""Who may change something: no page of another site, and for switches nobody from afar."""

from __future__ import annotations

import pytest

from governor.control.writes import HEADER, find_distance, find_objection

GOOD = {
    "Host": "127.0.0.1:9090",
    HEADER: "1",
    "Content-Type": "application/json; charset=utf-8",
    "Origin": "http://127.0.0.1:9090",
    "Sec-Fetch-Site": "same-origin",
}


def test_the_page_itself_may() -> None:
    """What the dashboard sends is taken; so is a plain client without a browser's headers."""
    assert find_objection(GOOD) is None
    plain = {name: GOOD[name] for name in ("Host", HEADER, "Content-Type")}
    assert find_objection(plain) is None
    assert find_distance("localhost", "::1") is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({HEADER: None}, HEADER),
        ({"Origin": "http://evil.example"}, "origins"),
        ({"Origin": "null"}, "origins"),
        ({"Origin": "http://127.0.0.1:8000"}, "origins"),
        ({"Sec-Fetch-Site": "cross-site"}, "sites"),
        ({"Sec-Fetch-Site": "same-site"}, "sites"),
        ({"Content-Type": "text/plain"}, "json"),
        ({"Content-Type": None}, "json"),
    ],
)
def test_other_sites_may_not(change: dict[str, str | None], says: str) -> None:
    """Each of the defences stands alone."""
    headers = {name: value for name, value in (GOOD | change).items() if value is not None}
    objection = find_objection(headers)
    assert objection is not None
    assert says in objection


@pytest.mark.parametrize(
    ("listens_on", "peer"),
    [("0.0.0.0", "127.0.0.1"), ("10.0.0.5", "127.0.0.1"), (None, "127.0.0.1")]
    + [("127.0.0.1", "10.0.0.9"), ("127.0.0.1", None)],
)
def test_loopback_only(listens_on: str | None, peer: str | None) -> None:
    """Beyond loopback there is no authentication, hence no switch."""
    assert find_distance(listens_on, peer) is not None

"""Who may throw a switch: nobody but whoever sits at the machine, and no page of another site."""

from __future__ import annotations

from typing import Any

import pytest

from governor.control.dashboard.switch import HEADER, find_objection, parse_switch

GOOD = {
    "Host": "127.0.0.1:9090",
    HEADER: "1",
    "Content-Type": "application/json; charset=utf-8",
    "Origin": "http://127.0.0.1:9090",
    "Sec-Fetch-Site": "same-origin",
}


def test_the_page_itself_may() -> None:
    """What the dashboard sends is taken; so is a plain client without a browser's headers."""
    assert find_objection(GOOD, "127.0.0.1", "127.0.0.1") is None
    plain = {name: GOOD[name] for name in ("Host", HEADER, "Content-Type")}
    assert find_objection(plain, "localhost", "::1") is None


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
    objection = find_objection(headers, "127.0.0.1", "127.0.0.1")
    assert objection is not None
    assert says in objection


@pytest.mark.parametrize(
    ("listens_on", "peer"),
    [("0.0.0.0", "127.0.0.1"), ("10.0.0.5", "127.0.0.1"), (None, "127.0.0.1")]
    + [("127.0.0.1", "10.0.0.9"), ("127.0.0.1", None)],
)
def test_loopback_only(listens_on: str | None, peer: str | None) -> None:
    """Beyond loopback there is no authentication, hence no switch."""
    assert find_objection(GOOD, listens_on, peer) is not None


@pytest.mark.parametrize(
    "body",
    [[], {}, {"switch": "mode"}, {"switch": "limit", "to": 3}, {"switch": "mode", "to": "off"}]
    + [{"switch": ["mode"], "to": "govern"}, {"switch": "hold", "to": "on", "x": 1}],
)
def test_only_known_switches_and_places(body: Any) -> None:
    """Anything else is an error that says what is allowed."""
    with pytest.raises(ValueError, match=r"send|must be|can be"):
        parse_switch(body)


def test_a_good_switch() -> None:
    """Name and value as given."""
    assert parse_switch({"switch": "hold", "to": "off"}) == ("hold", "off")

"""The fleet's section: what is refused, and that no secret is shown."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from governor.cli.describe import describe
from governor.config.fleet import Fleet
from governor.config.model import Config


def config(**fleet: Any) -> Config:
    """Return a configuration with that fleet."""
    upstreams = {"tools": {"endpoints": ["http://127.0.0.1:9"]}}
    return Config.model_validate({"upstreams": upstreams, "fleet": fleet})


def test_alone_by_default() -> None:
    """Nothing is shared, and no server is asked for, unless a fleet is configured."""
    assert Config.single("http://127.0.0.1:9").fleet is None


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"url": "http://127.0.0.1:6379"}, "redis://"),
        ({"url": "redis://user:hidden@h:1"}, "no user or password"),
        ({"url": "redis://h:1", "tick": "5ms"}, "0.02"),
        ({"url": "redis://h:1", "tick": "2s"}, "less than or equal to 1"),
        ({"url": "redis://h:1", "ca_file": "/x"}, "rediss"),
        ({"url": "redis://h:1", "name": "{a}"}, "must be a name"),
    ],
)
def test_what_cannot_work_is_refused(told: dict[str, Any], why: str) -> None:
    """Each refusal says what is allowed, and never repeats a password."""
    with pytest.raises(ValidationError) as refused:
        config(**told)
    assert why in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_what_is_shown_holds_no_secret() -> None:
    """`governor check` names the server; password and options stay where they are."""
    told = config(url="rediss://cache:6380/0?x=hidden", password="hidden", username="gov")
    lines = "\n".join(describe(told, "gateway.yaml"))
    assert "rediss://cache:6380/0;" in lines
    assert "hidden" not in lines


def test_the_client_is_told_user_password_and_bounds() -> None:
    """What is configured reaches the client: no default of its own decides how long to wait."""
    pytest.importorskip("redis")
    from governor.fleet.client import make_client

    client = make_client(Fleet(url="rediss://cache:6380/2", username="gov", password="word"))
    made = client.connection_pool.connection_kwargs
    assert (made["host"], made["port"], made["db"]) == ("cache", 6380, 2)
    assert (made["username"], made["password"]) == ("gov", "word")
    assert (made["socket_connect_timeout"], made["socket_timeout"]) == (0.25, 0.1)
    assert made["retry"].get_retries() == 0

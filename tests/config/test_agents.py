"""Agents as configured: units, secrets, what must be given together."""

from __future__ import annotations

from typing import Any

import pytest

from governor.cli.describe import describe
from governor.config.load import load
from governor.config.model import Config
from governor.errors import ConfigError

UPSTREAMS = {"tools": {"endpoints": ["http://127.0.0.1:9"]}}


def build(agent: dict[str, Any], **more: Any) -> Config:
    """Return a configuration with one agent."""
    whole = {"name": "planner", "match": {"credential": "sk-secret"}, **agent}
    return Config.model_validate({"upstreams": UPSTREAMS, "agents": [whole], **more})


@pytest.mark.parametrize(
    ("text", "rate_hz"), [("5/s", 5.0), ("30/m", 0.5), ("180/h", 0.05), (2, 2.0)]
)
def test_rates_are_per_second_minute_or_hour(text: object, rate_hz: float) -> None:
    """A bare number is per second; shares are numbers or per cent."""
    agent = build({"rate": text, "retries": "20%"}).agents[0]
    assert agent.rate == pytest.approx(rate_hz)
    assert agent.retries == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("agent", "part"),
    [
        ({"rate": "5 per s"}, "5/s"),
        ({"on_deviation": "hold"}, "in_flight"),
        ({"match": {}}, "credential"),
        ({"match": {"header": "thread-id"}}, "together"),
        ({"match": {"header": "cookie", "value": "x"}}, "x-governor-flow"),
        ({"upstreams": ["tool"]}, "did you mean 'tools'"),
    ],
)
def test_what_cannot_be_meant_is_refused(agent: dict[str, Any], part: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(ValueError, match=part):
        build(agent)


def test_secrets_come_from_the_environment_and_are_not_shown(tmp_path: Any) -> None:
    """Neither the value nor the words of `check` hold a credential, a name or a token."""
    path = tmp_path / "governor.yaml"
    path.write_text(
        "upstreams: {tools: {endpoints: ['http://127.0.0.1:9']}}\n"
        "admin: {token: '${TOKEN}'}\n"
        "agents:\n"
        "- {name: planner, match: {credential: '${KEY}', header: thread-id, value: '${ID}'},"
        " in_flight: 8, on_deviation: hold}\n"
    )
    secrets = {"TOKEN": "t" * 20, "KEY": "sk-secret-key", "ID": "secret-thread"}
    config = load(path, environ=secrets)
    words = "\n".join(describe(config, "it"))
    assert "Allow agent planner (named in thread-id and by its credential) 8 calls in" in words
    shown = words + repr(config) + config.model_dump_json()
    assert not [secret for secret in secrets.values() if secret in shown]
    with pytest.raises(ConfigError) as error:
        load(path, environ={**secrets, "TOKEN": "short-token"})
    [problem] = error.value.problems
    assert problem.field == "admin.token"
    assert "short-token" not in repr(problem)


def test_acting_without_a_token_is_noted() -> None:
    """Whoever lets agents be quarantined is told that nobody could release them."""
    words = list(describe(build({"rate": 5, "on_deviation": "quarantine"}), "it"))
    assert any("nobody can release them" in line for line in words)

"""Who may do what: the agents that are known by name, and their envelopes.

*Rule of this file*: values and their bounds only. Credentials are secrets: they are
hashed when Governor starts and never shown, logged or kept.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
    model_validator,
)

from governor.config.fields import Name, Seconds
from governor.config.section import Section

OnDeviation = Literal["event", "hold", "quarantine"]

AgentHeader = Literal[
    "x-governor-flow",
    "x-gateway-inference-fairness-id",
    "x-claude-code-agent-id",
    "x-claude-code-session-id",
    "thread-id",
    "session-id",
    "x-qwen-code-session-id",
    "mcp-session-id",
]
"""The headers by which Governor tells agents apart; the first that a request has names it."""

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/\s*(s|m|h))?")
_PER_S = {"s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def _parse_rate(value: object) -> object:
    if isinstance(value, str):
        match = _RATE.fullmatch(value.strip())
        if match is None:
            raise ValueError("must be calls per second, minute or hour: 5/s, 30/m or 200/h")
        return float(match[1]) / _PER_S[match[2]]
    return value


def format_rate(rate_hz: float) -> str:
    """Return a rate as people write it.

    Examples
    --------
    >>> format_rate(5.0), format_rate(0.5)
    ('5/s', '30/m')
    """
    if rate_hz >= 1.0:
        return f"{rate_hz:g}/s"
    return f"{rate_hz * 60:g}/m" if rate_hz * 60 >= 1.0 else f"{rate_hz * 3600:g}/h"


def _parse_share(value: object) -> object:
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100.0
        except ValueError as exc:
            raise ValueError("must be a share: 20% or 0.2") from exc
    return value


Rate = Annotated[
    float,
    Field(gt=0, le=1e6),
    BeforeValidator(_parse_rate),
    PlainSerializer(format_rate, return_type=str, when_used="json"),
    WithJsonSchema({"type": ["string", "number"], "examples": ["5/s", "30/m"]}),
]
"""Calls per second."""

Share = Annotated[
    float,
    Field(ge=0, le=1),
    BeforeValidator(_parse_share),
    PlainSerializer(lambda x: f"{100 * x:g}%", return_type=str, when_used="json"),
    WithJsonSchema({"type": ["string", "number"], "examples": ["20%", 0.2]}),
]
"""0 to 1, or per cent."""


def _check_token(token: SecretStr) -> SecretStr:
    if len(token.get_secret_value()) < MIN_TOKEN:
        raise ValueError(
            f"must be at least {MIN_TOKEN} characters that nobody can guess: openssl rand -hex 16"
        )
    return token


MIN_TOKEN = 16

Token = Annotated[SecretStr, AfterValidator(_check_token)]
"""A secret that a person bears."""


class AgentMatch(Section):
    """Whose requests an envelope is for: all conditions must hold, at least one is needed."""

    header: AgentHeader | None = None
    """The header in which the agent names itself. Default: any agent of the credential."""
    value: SecretStr | None = None
    """The exact value of that header; only its keyed hash is kept. Default: none."""
    credential: SecretStr | None = None
    """The key or token that its requests carry, as ${NAME} from the environment, with or without
    Bearer; only its keyed hash is kept. Default: any."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.header is None) != (self.value is None):
            raise ValueError("must give header and value together")
        if self.header is None and self.credential is None:
            raise ValueError("must give header and value, or credential, or all three")
        return self


class Envelope(Section):
    """What one agent's traffic may look like, and what is done where it does not."""

    in_flight: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Calls under way or waiting at once, over all upstreams, 1 to 1000000. Default: any number."""
    rate: Rate | None = None
    """Calls per second, over ten seconds: 5/s, 30/m. Default: any."""
    fan_out: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Calls alive at once in the tree that the agent works in, its sub-agents' included, 1 to
    1000000. Default: any number."""
    retries: Share | None = None
    """Share of retries among the calls of a minute, of ten at least: 20% or 0.2. Default: any."""
    upstreams: tuple[Name, ...] | None = None
    """Names of the upstreams that it may call. Default: all."""
    on_deviation: OnDeviation = "event"
    """event: tell of it. hold: from then on no more than in_flight at once, the rest waits.
    quarantine: from then on answer 403. Both last until a person releases the agent. Default
    event."""

    @model_validator(mode="after")
    def _check_hold(self) -> Self:
        if self.on_deviation == "hold" and self.in_flight is None:
            raise ValueError("must give in_flight with on_deviation: hold, which holds to it")
        return self


class Agent(Envelope):
    """One agent, or all agents that share a credential, each with this envelope of its own."""

    name: Name
    """What it is called in events and pages."""
    match: AgentMatch
    """Whose requests."""


class LearnedEnvelopes(Section):
    """Envelopes from each agent's own past, for those that none is declared for."""

    after_s: Annotated[Seconds, Field(ge=1_200)] = 7200.0
    """How long an agent must be known, with at least 200 calls, before its past counts, 20m to a
    day. Default 2h: twice the median recorded session."""
    margin: Annotated[int, Field(ge=2, le=100)] = 3
    """Factor over its largest reading so far of calls in flight, rate and fan-out, 2 to 100.
    Default 3: none of the recorded sessions passes that."""
    on_deviation: OnDeviation = "event"
    """As with a declared envelope. Default event."""

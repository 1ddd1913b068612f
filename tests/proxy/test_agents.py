"""Which configured agent a flow is: by exact values, in the order of the rules."""

from __future__ import annotations

from typing import get_args

import pytest

from governor.config.agents import AgentHeader, AgentMatch
from governor.core.identity import Identities
from governor.core.registry import NO_RULE, UNMET, Registry, Rule
from governor.proxy import arrivals
from governor.proxy.agents import AgentMatcher
from governor.proxy.header_names import REQUEST_CODES
from signals import Shared

MATCHES = (
    {"header": "x-governor-flow", "value": "planner-1", "credential": "sk-1"},
    {"header": "x-governor-flow", "value": "planner-1"},
    {"credential": "sk-2"},
)
SALT = b"salt"


@pytest.mark.parametrize(
    ("flow", "credential", "number"),
    [
        (b"planner-1", b"Bearer sk-1", 1),
        (b"planner-1", b"sk-1", 1),
        (b"planner-1", b"Bearer sk-9", 2),
        (b"planner-2", b"Bearer sk-2", 3),
        (None, b"Bearer sk-2", 3),
        (b"planner-2", b"Bearer sk-1", NO_RULE),
        (b"planner-", b"sk", NO_RULE),
    ],
)
def test_the_first_rule_whose_conditions_all_hold(
    flow: bytes | None, credential: bytes, number: int
) -> None:
    """Header and value, credential with or without its scheme; nothing but the exact value."""
    registry = Registry(Identities(8, 8, 8), Shared(8, 8, 8), [Rule(str(x)) for x in range(3)])
    matcher = AgentMatcher([AgentMatch.model_validate(x) for x in MATCHES], registry)
    matcher.hash_rules(SALT)
    values = {REQUEST_CODES[b"x-governor-flow"]: flow} if flow is not None else {}
    assert matcher.rule_of[1] == UNMET
    matcher.meet(1, hash(SALT + credential), values, SALT)
    assert registry.rule_of[1] == number


def test_agents_are_named_by_the_headers_that_tell_them_apart() -> None:
    """What the configuration takes is what the reader of arrivals reads."""
    codes = {REQUEST_CODES[name.encode()] for name in get_args(AgentHeader)}
    assert codes == set(arrivals._FLOWS)

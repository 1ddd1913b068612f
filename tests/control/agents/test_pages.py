"""The list of agents as plain values: what is looked for is found, whatever it costs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import governor.control.agents as agents
from governor.control.agents.pages import FIND_MAX, AgentPages, Now, parse_query
from governor.control.decisions import BadParameter
from governor.core.identity import Identities
from governor.core.registry import Registry, Rule
from signals import Shared

NOW = Now(1_000_000_000, 2_000_000_000)


@pytest.fixture
def pages() -> AgentPages:
    """Five flows that have called, two of them a planner's."""
    identities = Identities(4, 16, 4)
    registry = Registry(identities, Shared(16, 16, 16), (Rule("planner"), Rule("crawler")))
    flows = [identities.flows.index(0xABCDEF0000 + n, 0) for n in range(5)]
    registry.profiles.calls[flows] = 1
    registry.profiles.n_used = max(flows) + 1
    registry.rule_of[flows] = [1, 0, 1, 2, 0]
    return AgentPages(registry, identities, ("tools",), lambda: False)


@pytest.mark.parametrize(
    ("find", "n"),
    [("", 5), ("plan", 2), ("PLANNER", 2), ("r", 3), ("nobody", 0)]
    + [("flow-cdef0003", 1), ("flow-000000abcdef0003", 1), ("flow-12345678", 0), ("flow-", 0)],
)
def test_an_agent_is_found_by_part_of_its_name_or_by_its_label(
    pages: AgentPages, find: str, n: int
) -> None:
    """Configured names in any case; labels of eight or sixteen digits, whole."""
    found = pages.describe_list(parse_query({"find": find}), NOW)["agents"]
    assert len(found) == n
    if find.startswith("flow-"):
        assert [agent["label"] for agent in found] == ["flow-cdef0003"] * n


def test_what_is_looked_for_is_bounded() -> None:
    """A novel is refused, and told how much may be sent; space around it does not count."""
    assert parse_query({"find": "  plan "}).find == "plan"
    with pytest.raises(BadParameter, match="find"):
        parse_query({"find": "x" * (FIND_MAX + 1)})


def test_the_page_keeps_to_its_own_policy() -> None:
    """No inline script or style, nothing from elsewhere, no markup made of text."""
    folder = Path(agents.__file__).parent
    page = (folder / "agents.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|https?://", page)
    assert page.count("<section") == len(re.findall(r'<section id="\S+" aria-labelledby=', page))
    for path in folder.glob("*.js"):
        assert not re.search(
            r"innerHTML|insertAdjacentHTML|eval\(|document\.write|https?://", path.read_text()
        )

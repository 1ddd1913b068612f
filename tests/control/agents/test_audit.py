"""The trail of acts: appended, read again, complete, and never in the way."""

from __future__ import annotations

import json
from pathlib import Path

from governor.control.agents.audit import AuditTrail, token_id
from governor.core.identity import Identities
from governor.core.registry import Registry
from signals import Shared

S = 1_000_000_000


def make_registry() -> Registry:
    """Return a registry with one known flow, number 1."""
    identities = Identities(8, 8, 8)
    identities.flows.index(77, 0)
    return Registry(identities, Shared(8, 8, 8))


def test_acts_survive_a_restart(tmp_path: Path) -> None:
    """Who, what, when and why are appended; a new trail begins with them."""
    path = tmp_path / "audit.jsonl"
    path.write_text("cut off\n")
    registry, trail = make_registry(), AuditTrail(str(path))
    trail.open()
    registry.restrain(5 * S, 1, 0, "token-1", "looks odd")
    trail.collect(registry, 6 * S, 1_000_006 * S)
    registry.release(7 * S, 1, "token-1", "")
    trail.collect(registry, 8 * S, 1_000_008 * S)
    trail.collect(registry, 9 * S, 1_000_009 * S)
    released, quarantined = trail.last(10)
    assert quarantined == {
        "time": "1970-01-12T13:46:45.000+00:00",
        "who": "token-1",
        "what": "quarantined",
        "id": registry.events[0].flow,
        "agent": None,
        "why": "looks odd",
    }
    assert released["what"] == "released"
    again = AuditTrail(str(path))
    again.open()
    assert again.last(10) == [released, quarantined]
    assert [json.loads(line)["what"] for line in path.read_text().splitlines()[1:]] == [
        "quarantined",
        "released",
    ]
    assert path.stat().st_mode & 0o077 == 0


def test_a_failing_disk_costs_lines_not_acts(tmp_path: Path) -> None:
    """The act stands and is on the page; what was not written is counted."""
    path = tmp_path / "gone" / "audit.jsonl"
    registry, trail = make_registry(), AuditTrail(str(path))
    registry.restrain(0, 1, 0, "token-1", "")
    trail.collect(registry, 0, 0)
    assert (len(trail.last(10)), trail.n_faults) == (1, 1)
    assert registry.restraints[1].is_quarantine


def test_a_token_is_told_by_its_id_alone() -> None:
    """The same token has the same id in every process; the id holds nothing of it."""
    assert token_id("a-token-of-some-length") == token_id("a-token-of-some-length")
    assert token_id("a-token-of-some-length") != token_id("another-token-of-length")
    assert len(token_id("a-token-of-some-length")) == len("token-00000000")

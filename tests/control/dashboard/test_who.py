"""Who costs the most, against a plain sort."""

from __future__ import annotations

import orjson

from governor.control.dashboard.who import TOP, describe_costliest
from governor.core.identity import Identities


def test_the_heaviest_come_first_and_only_a_few() -> None:
    """Of 500 callers the ten with the most service, in order, with shares of the whole."""
    identities = Identities(8, 1_000, 8)
    for key in range(1, 501):
        flow = identities.flows.index(key, 0)
        identities.opened(0, flow, 0)
        identities.closed(0, flow, 0, float(key * 37 % 501))
    found = describe_costliest(identities, identities.flows)
    held = [row[2] for row in found["top"]]
    assert held == [float(x) for x in range(500, 500 - TOP, -1)]
    assert found["top"][0][3] == round(500 / (500 * 501 / 2), 4)
    assert orjson.dumps(found)


def test_an_idle_process_has_no_heaviest() -> None:
    """Nobody is listed before anybody has cost anything."""
    identities = Identities(8, 8, 8)
    assert describe_costliest(identities, identities.tenants)["top"] == []

"""The compiled entrance: what each kind of event leaves behind."""

from __future__ import annotations

import pytest

from signals import UNMARKED
from signals.state import FLOW_DTYPE
from tests.signals.short import ShortBank

MS = 1_000_000


@pytest.mark.parametrize("flow", [-1, 0, 8, 2**62, -(2**62)])
def test_a_flow_outside_the_table_is_unknown(flow: int) -> None:
    """It is counted as unidentified and remembered as nobody."""
    bank = ShortBank(8)
    bank.observe_departure(0, flow, 7, 0, True)
    assert bank.observe_arrival(MS, flow, 7, UNMARKED, True) == 0
    state = bank.state.bank[0]
    assert (state["open_arrivals"], state["open_unidentified"]) == (1, 1)
    assert not bank.state.flows["n_failed"].any()


def test_an_unidentified_flow_still_has_a_memory() -> None:
    """A connection without a name is known to itself: its retries are inferred."""
    bank = ShortBank(8)
    bank.observe_departure(0, 3, 7, 0, True)
    assert bank.observe_arrival(MS, 3, 7, UNMARKED, False) == 1
    assert bank.state.bank[0]["open_unidentified"] == 1


def test_a_good_end_changes_nothing() -> None:
    """Only failures leave a trace; not even time passes."""
    bank = ShortBank(8)
    bank.observe_arrival(0, 1, 7, UNMARKED, True)
    before = bank.state.bank.tobytes() + bank.state.flows[:8].tobytes()
    bank.observe_departure(5_000 * MS, 1, 7, 0, False)
    assert bank.state.bank.tobytes() + bank.state.flows[:8].tobytes() == before


def test_an_event_touches_its_own_flow_only() -> None:
    """Neighbours in the table are left alone."""
    bank = ShortBank(3)
    bank.observe_arrival(0, 1, 7, 1, True)
    bank.observe_departure(MS, 1, 7, 1, True)
    assert bank.state.flows[1].tobytes() != bytes(FLOW_DTYPE.itemsize)
    assert bank.state.flows[2].tobytes() == bytes(FLOW_DTYPE.itemsize)

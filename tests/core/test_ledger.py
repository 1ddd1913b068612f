"""Every upstream second is booked once, under the outcome it had."""

from __future__ import annotations

import pytest

from governor.core.ledger import Ledger
from policies.decision import Outcome


@pytest.mark.parametrize(
    ("outcome", "was_answered", "account"),
    [
        (Outcome.COMPLETED, True, "useful_s"),
        (Outcome.REFUSED, True, "refused_s"),
        (Outcome.FAILED, False, "retried_s"),
        (Outcome.ORPHANED, True, "orphaned_s"),
        (Outcome.CANCELLED, False, "orphaned_s"),
        (Outcome.CANCELLED, True, "useful_s"),
    ],
)
def test_account_of_each_outcome(outcome: Outcome, was_answered: bool, account: str) -> None:
    """Each outcome has one account, and only that one grows."""
    ledger = Ledger()
    ledger.close(outcome, 2.0, was_answered)
    booked = {x: getattr(ledger, x) for x in ("useful_s", "refused_s", "retried_s", "orphaned_s")}
    assert booked.pop(account) == 2.0
    assert set(booked.values()) == {0.0}
    assert ledger.n_by_outcome[outcome] == 1


def test_unsent_work_costs_nothing() -> None:
    """A request that never reached the upstream used none of its seconds."""
    ledger = Ledger()
    ledger.close(Outcome.UNSENT, 5.0, was_answered=False)
    assert ledger.total_s == 0.0


def test_waste_ratio() -> None:
    """The waste ratio is the share nobody benefited from, and 0 before the first second."""
    ledger = Ledger()
    assert ledger.waste_ratio == 0.0
    ledger.close(Outcome.COMPLETED, 3.0, was_answered=True)
    ledger.close(Outcome.ORPHANED, 1.0, was_answered=True)
    assert ledger.waste_ratio == pytest.approx(0.25)

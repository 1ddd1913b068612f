"""By whom: sums by flow, tenant and tree, and how long a failure counts."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import FAILED, Shared, SignalBank
from signals.culprits import Culprit, find_culprits

S = 1_000_000_000


def make_bank(seed: int, n_calls: int) -> tuple[SignalBank, list[tuple[int, int, int]]]:
    """A bank with failed calls of random flows, and (flow, tenant, tree) of each."""
    rng = np.random.default_rng(seed)
    bank = SignalBank(33, Shared(64))
    known = []
    kept: Counter[int] = Counter()
    for shape in range(n_calls):
        flow = int(rng.integers(1, 33))
        if kept[flow] == 4:
            continue
        kept[flow] += 1
        tenant, tree = flow % 3, flow % 7
        now_ns = shape * 1_000_000
        call = bank.observe_arrival(now_ns, tenant, flow, tree, shape)
        bank.observe_end(now_ns, call, FAILED)
        known.append((flow, tenant, tree))
    return bank, known


def now_ns(bank: SignalBank) -> int:
    """The bank's inner time."""
    return int(bank.state.process[0]["now_ns"])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), n_calls=st.integers(0, 60), n=st.integers(1, 8))
def test_sums_are_those_of_a_plain_count(seed: int, n_calls: int, n: int) -> None:
    """Each kind's order, counts and shares are what counting one by one gives."""
    bank, known = make_bank(seed, n_calls)
    found = find_culprits(bank.state.flows, 0, now_ns(bank), n)
    assert found.n_pending == len(known)
    assert found.n_flows == len({flow for flow, _, _ in known})
    for kind, culprits in enumerate((found.flows, found.tenants, found.trees)):
        plain = Counter(row[kind] for row in known)
        order = sorted(plain.items(), key=lambda item: (-item[1], item[0]))[:n]
        assert culprits == tuple(Culprit(k, m, m / len(known)) for k, m in order)


def test_a_failure_counts_until_it_is_repeated_or_too_old() -> None:
    """Repeated: gone at once. Not repeated: gone after a minute."""
    bank = SignalBank(4, Shared(64))
    for flow in (1, 2):
        bank.observe_end(flow, bank.observe_arrival(flow, 1, flow, flow, 7), FAILED)
    bank.observe_arrival(S, 1, 2, 2, 7)
    found = find_culprits(bank.state.flows, 0, now_ns(bank))
    assert found.flows == (Culprit(1, 1, 1.0),)
    assert find_culprits(bank.state.flows, 0, now_ns(bank) + 60 * S).n_pending == 0

"""The bank's memory and its inner clock."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.state import (
    BANK_DTYPE,
    BUCKET_NS,
    EPOCH_NS,
    FLOW_DTYPE,
    LEAP_MAX_NS,
    PROCESS_DTYPE,
    STEP_BACK_MAX_NS,
    make_calls,
    make_flows,
    read_clock,
)


def test_sizes_are_what_the_docs_say() -> None:
    """About 70 KB a bank and 200 bytes a flow."""
    assert BANK_DTYPE.itemsize < 72_000
    assert FLOW_DTYPE.itemsize == 200
    assert not make_flows(8)["n_failed"].any()
    with pytest.raises(ValueError, match="at least 1"):
        make_flows(0)
    with pytest.raises(ValueError, match="at least 1"):
        make_calls(0)


@given(st.lists(st.integers(-(2**61), 2**61), min_size=1))
def test_inner_time_never_runs_back_and_never_leaps(instants: list[int]) -> None:
    """It starts at the epoch and moves by at most a minute a call."""
    process = np.zeros(1, PROCESS_DTYPE)
    previous_ns = EPOCH_NS
    for now_ns in instants:
        inner_ns = read_clock(process, now_ns)
        assert previous_ns <= inner_ns <= previous_ns + LEAP_MAX_NS
        previous_ns = inner_ns
    assert read_clock(np.zeros(1, PROCESS_DTYPE), instants[0]) == EPOCH_NS


def test_small_steps_back_wait_and_large_ones_reanchor() -> None:
    """After half a second back time stands still; after an hour back it goes on at once."""
    process = np.zeros(1, PROCESS_DTYPE)
    start_ns = 10**15
    read_clock(process, start_ns)
    top_ns = read_clock(process, start_ns + 30 * 10**9)
    half_ns = STEP_BACK_MAX_NS // 2
    assert read_clock(process, start_ns + 30 * 10**9 - half_ns) == top_ns
    assert read_clock(process, start_ns + 30 * 10**9 + 5) == top_ns + 5
    hour_ns = 3_600 * 10**9
    assert read_clock(process, start_ns - hour_ns) == top_ns + 5
    assert read_clock(process, start_ns - hour_ns + 7) == top_ns + 12


def test_structures_are_aligned() -> None:
    """Kernels read native words."""
    assert BANK_DTYPE.isalignedstruct
    assert FLOW_DTYPE.isalignedstruct
    assert np.int64(EPOCH_NS) % BUCKET_NS == 0

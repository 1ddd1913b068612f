"""The replayed fleets: which part, and what is made of the two ways' times."""

from __future__ import annotations

import pytest

from bench.replay_rows import Row
from bench.storm.base import Recording
from bench.storm.recorded import part_of, quantities


def test_only_the_named_part_is_replayed() -> None:
    """Half-open, on the recording's clock."""
    rows = [Row(float(t), "a", "s", 1.0) for t in range(10)]
    part = part_of(rows, Recording("f", "t_s", 3.0, 4.0, 2.0))
    assert [row.t_s for row in part] == [3.0, 4.0, 5.0, 6.0]


def test_the_two_ways_are_compared_at_their_99th_percentiles() -> None:
    """A call in a hundred may differ; statuses other than 200 are failures."""
    direct = [0.1] * 99 + [0.5]
    through = [0.102] * 99 + [9.0]
    found = quantities(
        {
            "through_s": through,
            "direct_s": direct,
            "statuses": {"200": 98, "503": 1, "0": 1},
            "late_s": 0.001,
            "seconds": 10.0,
        }
    )
    assert found["p99_over_direct_s"] == pytest.approx(0.002)
    assert (found["failed"], found["refusals"], found["timeouts"]) == (2, 1, 1)
    assert found["goodput_hz"] == pytest.approx(9.8)

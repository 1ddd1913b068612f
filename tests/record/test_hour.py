"""Memory: an hour of ever new callers takes as much as its first quarter."""

from __future__ import annotations

import gc
import sys

from bench.hour import Hour, S, rss_bytes


def test_memory_is_constant_over_an_hour_of_new_callers() -> None:
    """Once tables and ring are full nothing grows: flows, trees, fingerprints, records."""
    hour = Hour(rate_hz=4, tick_ns=2 * S, capacity=256)
    flows = hour.runtime.identities.flows
    recorder = hour.runtime.recorder
    assert recorder is not None
    n_blocks, sizes = [], []
    for _ in range(4):
        hour.play(900)
        gc.collect()
        n_blocks.append(sys.getallocatedblocks())
        sizes.append(rss_bytes())
    assert hour.now_ns >= 3_600 * S
    assert hour.n_calls > 14_400
    assert len(flows) == 255
    assert recorder.ring.n_laps >= 2
    assert recorder.tap.n_faults == hour.gate.ledger.n_faults == 0
    assert max(n_blocks[1:]) <= n_blocks[0] + 2_000  # 0.2 for each call that came since
    assert max(sizes[1:]) <= sizes[0] + (4 << 20)

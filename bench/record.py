"""``python -m bench record``: what recording costs a request, a file, and how fast it replays.

The traffic of ``bench gate`` with a tap and without, in turn, processor time of one
core; then what it recorded as a file, and that file through new gates.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.gate import MIXES, Mix, Traffic, measure_all, save_costs
from governor.record.replay import replay
from governor.record.ring import Ring
from governor.record.store import encode_blocks, encode_header, read
from governor.record.tap import Tap

BOUND_US = 1.0
"""Of one record; an untouched request makes two, or three where its answer streams."""

REPLAY_HZ = 200_000
"""Arrivals that are to be replayed in a second."""

N_REPLAYS = 5
"""Each through new gates; the median is told."""

STREAMED = Mix("2,000 agents, streamed", 2_000, 24, streams=True)
RECORDED = (MIXES[1], STREAMED, MIXES[2], MIXES[3])


class Owner:
    """Has a request id, as an exchange has."""

    request_id = b"0123456789abcdef0123"


class TappedTraffic(Traffic):
    """The traffic of ``bench gate``, recorded."""

    def __init__(self, mix: Mix, seed: int, n_records: int) -> None:
        super().__init__(mix, seed)
        self.owner = Owner()
        self.tap = Tap(Ring(n_records))
        n_bytes = len(self.tap.ring.memory)
        self.tap.ring.memory[:] = bytes(n_bytes)  # as after a lap: pages are there
        self.tap.attach([self.gate], self.gate.identities)


def measure(mix: Mix, n_batches: int, size: int) -> dict[str, float]:
    """Return the cost of one arrive + depart with and without, and of what was recorded."""
    plain, tapped = Traffic(mix, 1), TappedTraffic(mix, 1, 8 * n_batches * size)
    plain.owner = tapped.owner
    pairs = []
    for _ in range(n_batches):
        arrivals = plain.arrivals(size)
        without = plain.batch(arrivals) / size
        pairs.append((without, tapped.batch(tapped.arrivals(size)) / size))
    without_ns, with_ns = np.median(np.array(pairs[n_batches // 10 :]), axis=0)
    ticks_ns, taped_ticks_ns = (sum(x.tick_ns) / (n_batches * size) for x in (plain, tapped))
    n_records = tapped.tap.ring.n_written
    per_call = n_records / (n_batches * size)
    first, events = tapped.tap.ring.since(0)
    began = time.thread_time()
    blocks = b"".join(encode_blocks(first, events))
    encode_s = time.thread_time() - began
    packed = {"upstreams": {mix.name: {}}, "policies": {}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.rec"
        path.write_bytes(encode_header(packed, 0, 0, 0, first) + blocks)
        began = time.thread_time()
        recording = read(path)
        read_s = time.thread_time() - began
    replays_hz = []
    n_different = 0
    for _ in range(N_REPLAYS):
        fresh = Traffic(mix, 1)
        began = time.thread_time()
        found = replay(recording, [fresh.gate], fresh.gate.identities)
        replays_hz.append(found.n_arrivals / (time.thread_time() - began))
        n_different += found.n_different
    return {
        "without_us": float(without_ns) / 1e3,
        "with_us": float(with_ns) / 1e3,
        "ticks_without_us": ticks_ns / 1e3,
        "ticks_with_us": taped_ticks_ns / 1e3,
        "gate_us": (float(without_ns) + ticks_ns) / 1e3,
        "records_per_call": per_call,
        "record_us": float(with_ns - without_ns) / 1e3 / per_call,
        "bytes_per_record": len(blocks) / n_records,
        "encode_us_per_record": encode_s / n_records * 1e6,
        "read_us_per_record": read_s / n_records * 1e6,
        "replayed_arrivals_per_s": float(np.median(replays_hz)),
        "replayed_arrivals_per_s_min": min(replays_hz),
        "replayed_arrivals_per_s_max": max(replays_hz),
        "n_different": n_different,
        "n_lost": tapped.tap.n_faults,
    }


COLUMNS: dict[str, Callable[[dict[str, float]], str]] = {
    "µs off / on": lambda cost: f"{cost['without_us']:.2f} / {cost['with_us']:.2f}",
    "µs a request": lambda cost: f"{cost['with_us'] - cost['without_us']:.2f}",
    "its share of ticks, µs off / on": lambda cost: (
        f"{cost['ticks_without_us']:.2f} / {cost['ticks_with_us']:.2f}"
    ),
    "records a call": lambda cost: f"{cost['records_per_call']:.1f}",
    "µs a record": lambda cost: f"{cost['record_us']:.2f}",
    "bytes a record": lambda cost: f"{cost['bytes_per_record']:.1f}",
    "µs to compress one": lambda cost: f"{cost['encode_us_per_record']:.2f}",
    "µs to read one": lambda cost: f"{cost['read_us_per_record']:.2f}",
    "replayed arrivals/s (least – most)": lambda cost: (
        f"{cost['replayed_arrivals_per_s']:,.0f} ({cost['replayed_arrivals_per_s_min']:,.0f} – "
        f"{cost['replayed_arrivals_per_s_max']:,.0f})"
    ),
    "of the gate's own pace": lambda cost: (
        f"{cost['replayed_arrivals_per_s'] * cost['gate_us'] / 1e6:.0%}"
    ),
    "decisions that differ": lambda cost: f"{cost['n_different']:.0f}",
}


def main(argv: list[str]) -> int:
    """Run the benchmark; status 1 if a record costs more than the bound or replay differs."""
    seen, _ = measure_all("record", RECORDED, measure, 60, argv, __doc__ or "")
    text = (
        f"Bound: {BOUND_US:.0f} µs a record, {REPLAY_HZ:,} replayed arrivals/s. Processor time of "
        "one core. The gate's own pace is that of arrivals, departures and ticks without recorder. "
        f"Replay: median of {N_REPLAYS}."
    )
    save_costs("record", argv, text, COLUMNS, seen)
    is_good = all(
        x["record_us"] <= BOUND_US
        and x["replayed_arrivals_per_s"] >= REPLAY_HZ
        and not x["n_different"]
        for x in seen.values()
    )
    return 0 if is_good else 1

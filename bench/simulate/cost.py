"""What sharing a view costs, on paper: a governor's own time, and a Redis' calls and bytes.

*Rule of this file*: arithmetic on the bytes that would be sent and on what ``bench gate`` has
measured. Nothing is sent. Where a measured case exists (``bench/results/redis.json``, a list of
``{"governors", "upstreams", "calls_hz", "in_bytes_hz", "out_bytes_hz", "busy_ratio"}``) it
stands beside the paper with its deviation.

*Theory*: each governor makes one script call per tick and upstream: it puts its row in place of
its last one and gets the sum. Rows of all its upstreams can go in one call (*batched*): the bytes
of the rows stay, the calls fall to one per tick. Redis runs scripts one at a time, so calls/s
times the time of one is the share of the one core that it has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import density
from bench.report import RESULTS

TICK_S = 0.05

ROW = (
    ("in_flight", 4),
    ("limit", 4),
    ("waiting", 4),
    ("demand_milli_hz", 8),
    ("retries_milli_hz", 8),
    ("capacity_milli_hz", 8),
    ("invited_until_ms", 13),
    ("sequence", 10),
)
"""What a row says and how many digits that takes at most: integers, as all that is decided on."""

SHA = "0" * 40
GOVERNOR_DIGITS, UPSTREAM_DIGITS = 8, 8


def resp(words: Sequence[bytes]) -> bytes:
    r"""Return a command as RESP2 sends it.

    >>> resp([b"PING"])
    b'*1\r\n$4\r\nPING\r\n'
    """
    parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n%b" % (len(words), b"".join(parts))


def call_bytes(n_rows: int) -> int:
    """Return the bytes of one script call that carries the rows of so many upstreams."""
    keys = [b"gov:" + b"u" * UPSTREAM_DIGITS for _ in range(n_rows)]
    row = [b"9" * digits for _, digits in ROW]
    words = [b"EVALSHA", SHA.encode(), b"%d" % n_rows, *keys, b"g" * GOVERNOR_DIGITS]
    return len(resp([*words, *(row * n_rows)]))


def reply_bytes(n_rows: int) -> int:
    """Return the bytes of the answer: the sums of the row's fields for each upstream."""
    per_row = sum(len(b":%d\r\n" % (10**digits - 1)) for _, digits in ROW) + len(b"*8\r\n")
    return len(b"*%d\r\n" % n_rows) + n_rows * per_row


@dataclass(frozen=True)
class Paper:
    """What so many governors ask of one Redis."""

    n_governors: int
    n_upstreams: int
    is_batched: bool
    calls_hz: float
    in_bytes_hz: float
    out_bytes_hz: float


def on_paper(
    n_governors: int, n_upstreams: int, *, is_batched: bool = False, period_s: float = TICK_S
) -> Paper:
    """Return what governors before so many upstreams each ask of one Redis.

    >>> on_paper(3, 1).calls_hz, on_paper(1_000, 10).calls_hz
    (60.0, 200000.0)
    >>> on_paper(1_000, 10, is_batched=True).calls_hz
    20000.0
    """
    n_rows = n_upstreams if is_batched else 1
    calls_hz = round(n_governors * (1 if is_batched else n_upstreams) / period_s, 9)
    return Paper(
        n_governors,
        n_upstreams,
        is_batched,
        calls_hz,
        calls_hz * call_bytes(n_rows),
        calls_hz * reply_bytes(n_rows),
    )


@dataclass(frozen=True)
class GateCost:
    """What ``bench gate`` measured, s: a call in calm, a call while all wait, a tick in each."""

    call_s: float
    waiting_call_s: float
    tick_s: float
    waiting_tick_s: float

    def core_ratio(self, calls_hz: float, n_upstreams: int, waiting_share: float = 0.0) -> float:
        """Return the share of a core that a governor's gates take."""
        call_s = self.call_s + waiting_share * (self.waiting_call_s - self.call_s)
        tick_s = self.tick_s + waiting_share * (self.waiting_tick_s - self.tick_s)
        return calls_hz * call_s + n_upstreams * tick_s / TICK_S


def measured_gate(path: Path = RESULTS / "gate.json") -> GateCost | None:
    """Return what the gate costs, from its own benchmark; None where that was not run."""
    if not path.exists():
        return None
    mixes = json.loads(path.read_text())["mixes"]
    calm = mixes["2,000 agents, 10,000/s"]
    waiting = mixes["2,000 agents, all wait in the line, 10,000/s"]
    us = 1e-6
    return GateCost(
        calm["p50_us"] * us,
        waiting["p50_us"] * us,
        calm["tick_p50_us"] * us,
        waiting["tick_p50_us"] * us,
    )


@dataclass(frozen=True)
class Small:
    """A small case on sockets: one governor, one upstream.

    Attributes
    ----------
    calls_hz : float
        Attempts per second of the run.
    is_waiting : bool
        Whether calls were sent away, so that there was a line most of the time.
    core_ratio : float
        Of a core, the whole process as the kernel counts it.
    """

    n_agents: int
    calls_hz: float
    is_waiting: bool
    core_ratio: float


def measured_small(path: Path = RESULTS / "density.json") -> list[Small]:
    """Return what the governor's process took in the density benchmark."""
    if not path.exists():
        return []
    found = []
    for row in json.loads(path.read_text())["runs"]:
        q = row["quantities"]
        if row["peer"] == "governor":
            calls_hz = q["tasks"] * q["attempts_per_task"] / density.SECONDS
            core_ratio = q["proxy_cpu_s"] / density.SECONDS
            found.append(Small(row["agents"], calls_hz, q["refusals"] > 0, core_ratio))
    return found


def measured_redis(path: Path = RESULTS / "redis.json") -> list[dict[str, float]]:
    """Return measured cases, if there are any yet."""
    if not path.exists():
        return []
    cases: list[dict[str, float]] = json.loads(path.read_text())["cases"]
    return cases

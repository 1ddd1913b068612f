"""Callers in closed loop: who they are, how long they think, when they call again.

*Rule of this file*: descriptions of callers, no time passes here. The world
that they live in is :mod:`bench.detect.service`, the loop is
:mod:`bench.detect.simulation`.

*How to use*, the whole of it::

    fleet = Fleet(n=2000, law="openai", patience_s=2.0)      # or law="mix"
    world = World(fleet, load=0.75, fault=FAULTS["stall"], fault_s=60.0, end_s=80.0)
    bank = make_bank(world.n_flows)                          # bench.detect.consumer
    sim = Simulation(world, [bank], seed=1)                  # paired: same seed, same past
    sim.run(on_tick=lambda now_s: watch(now_s, bank.read())) # every 50 ms, after bank.tick
    sim.truth.arrivals()  # arrays: t_s, caller, attempt (0 fresh), is_ours; also ends(), ticks()
    sim.capacity_hz       # slots / mean service time

    Overlay(trace, speed=10)       -> World(overlay=…): through the same service and bank, open loop
    Beside(trace, upstream=1)      -> World(beside=(…,)): another upstream, banks[1]; it never fails

*Regime*: think time exponential with mean 10 s, as the median of recorded
agents; one call at a time; a shape (fingerprint) of its own for every task
unless ``repeat_share`` says otherwise; a retry repeats its task's shape. A
task that gave up is followed by a thought like one that went well. Headers
that mark retries are off by default, so attempts must be inferred. Botocore's
retry quota is not modelled: it does not bind within one storm.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from governor.load.laws import LAWS, Law

THINK_S = 10.0
"""Median think time of recorded agents (traces/README: p50 10 s)."""

MIX = ("openai", "codex", "vercel", "tenacity-full-jitter", "boto3")
"""Callers of ``law="mix"``, in equal parts."""

FAMILY_OF_LAW = {
    "openai": 1,
    "anthropic": 1,
    "claude-code": 2,
    "codex": 3,
    "vercel": 4,
    "gemini-cli": 5,
    "google-genai": 6,
    "google-api-core": 6,
    "boto3": 7,
    "boto3-legacy": 7,
    "urllib3": 8,
    "requests": 8,
    "mcp": 9,
    "mcp-stream": 9,
    "mcp-typescript-stream": 9,
    "tenacity-exponential": 10,
    "tenacity-full-jitter": 10,
    "tenacity-exponential-jitter": 10,
    "pydantic-ai": 10,
    "langgraph": 10,
    "litellm": 11,
    "envoy": 12,
    "opencode": 13,
    "openai-agents": 14,
}
"""Index of the client family that headers would tell."""

MARKING = {"openai", "anthropic", "boto3", "boto3-legacy", "envoy"}
"""Laws whose SDK sends the attempt number in a header."""

NEVER_S = math.inf


class Fleet(NamedTuple):
    """Callers of one service.

    Attributes
    ----------
    n : int
    law : str
        A name of ``governor.load.laws.LAWS``, or ``mix``.
    patience_s : float
        A caller leaves when no answer has come by then.
    think_s : float
        Mean of the exponential pause between tasks.
    repeat_share : float
        Chance that a task has the shape of the caller's previous one.
    is_identified, tells_family, tells_patience, is_marked : bool
        What their headers say: who calls, with which client library, how long
        it waits, which attempt this is (where the library says so).
    max_retries : int or None
        None: the SDK's default.
    n_tenants : int
    """

    n: int
    law: str = "openai"
    patience_s: float = NEVER_S
    think_s: float = THINK_S
    repeat_share: float = 0.0
    is_identified: bool = True
    tells_family: bool = True
    tells_patience: bool = False
    is_marked: bool = False
    max_retries: int | None = None
    n_tenants: int = 8

    def law_of(self, caller: int) -> Law:
        """Return a caller's way to retry."""
        return LAWS[self.law if self.law != "mix" else MIX[caller % len(MIX)]]

    def family_of(self, caller: int) -> int:
        """Return what the headers tell of the caller's library; 0 if nothing."""
        return FAMILY_OF_LAW[self.law_of(caller).name] if self.tells_family else 0


BACKOFF_S: dict[str, tuple[float, float]] = {
    "openai": (0.375, 0.5),
    "anthropic": (0.375, 0.5),
    "claude-code": (0.375, 0.5),
    "codex": (0.18, 0.22),
    "openai-agents": (0.21875, 0.28125),
    "vercel": (2.0, 2.0),
    "opencode": (2.0, 2.0),
    "gemini-cli": (3.5, 6.5),
    "boto3": (0.0, 0.05),
    "boto3-legacy": (0.0, 1.0),
    "urllib3": (0.0, 0.0),
    "tenacity-full-jitter": (0.0, 1.0),
    "tenacity-exponential": (1.0, 1.0),
    "tenacity-exponential-jitter": (1.0, 2.0),
    "langgraph": (0.5, 1.5),
    "litellm": (0.5, 1.25),
    "google-genai": (1.0, 2.0),
    "google-api-core": (0.0, 1.0),
    "mix": (0.0, 2.0),
}
"""Band of the first retry without a hint: what 'within the back-off' is measured by."""

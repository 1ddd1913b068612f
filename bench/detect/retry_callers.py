"""Callers one by one, each with its SDK's law, whose calls fail in spells; and their replay.

*Rule of this file*: what happened, as arrays, and what a signal bank makes of
it. The table is in :mod:`bench.detect.retry`.

*Theory*: what decides whether a retry is recognised is one caller's own past,
so each caller is simulated for itself: think (exponential), call (lognormal
service time, mean 0.3 s, sigma 0.5), retry as the SDK's law says, give up when
it does, think again. Whether the next task has the same shape is a draw. The
service has a spell of trouble of 4 s every 30 s or so, each fourth of 20 s:

- ``refuse``: nine calls of ten are answered 503 within 12 ms;
- ``stall``: ten times as slow, and callers leave after 2 s.

Outside of spells one call in a few hundred fails, too. Back-offs begin when the
failure is told; the next call reaches the proxy 1 ms and an exponential time
of mean 4 ms after they end. No marking header, no family by header.
"""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from governor.load.laws import LAWS, TRANSPORT, Failure
from signals import ANSWERED, ATTEMPT_MASK, FAILED, GONE, SignalBank

S = 1_000_000_000
LEFT = -1
"""How a call ends whose caller leaves first."""

PATIENCE_S = 2.0
SERVICE_S, SERVICE_SIGMA = 0.3, 0.5
FIRST_SPELL_S, BETWEEN_SPELLS_S = 20.0, 26.0
SPELLS_S = (4.0, 4.0, 4.0, 20.0)
P_REFUSED = 0.9
P_STRAY_REFUSAL, P_STRAY_STALL = 0.002, 0.001
NETWORK_S, NETWORK_MEAN_S = 0.001, 0.004

MAX_RETRIES = {"google-genai": 4}
"""Where the SDK's default is not to retry: what it does when asked to."""

FAULTS = ("refuse", "stall")


class Plan(NamedTuple):
    """One set of callers.

    Attributes
    ----------
    laws : tuple of str
        Caller n follows law n, round and round.
    repeat : float
        Share of tasks that have the previous one's shape.
    """

    laws: tuple[str, ...]
    fault: str
    repeat: float
    think_s: float = 10.0
    n_callers: int = 300
    stop_s: float = 400.0


class History(NamedTuple):
    """What happened: one row a call, and the order of beginnings and ends."""

    flow: npt.NDArray[np.int64]
    shape: npt.NDArray[np.int64]
    attempt: npt.NDArray[np.int64]
    how: npt.NDArray[np.int64]
    event_ns: npt.NDArray[np.int64]
    event_call: npt.NDArray[np.int64]
    event_is_end: npt.NDArray[np.bool_]


class Spells:
    """When the service is in trouble; asked in order of time."""

    def __init__(self) -> None:
        self.start_s = FIRST_SPELL_S
        self.n = 0

    def cover(self, now_s: float) -> bool:
        """Return whether an instant lies in a spell."""
        while now_s >= self.start_s + SPELLS_S[self.n % 4]:
            self.start_s += SPELLS_S[self.n % 4] + BETWEEN_SPELLS_S
            self.n += 1
        return now_s >= self.start_s


def attempt_call(rng: Random, fault: str, is_spell: bool) -> tuple[float, int, int]:
    """Return one call's length in seconds, how it ends, and the status that its caller sees."""
    service_s = rng.lognormvariate(math.log(SERVICE_S) - SERVICE_SIGMA**2 / 2, SERVICE_SIGMA)
    slow = 10.0 if is_spell and fault == "stall" else 1.0
    if fault == "refuse" and rng.random() < (P_REFUSED if is_spell else P_STRAY_REFUSAL):
        return rng.uniform(0.002, 0.012), FAILED, 503
    if service_s * slow > PATIENCE_S or rng.random() < P_STRAY_STALL:
        return PATIENCE_S, LEFT, TRANSPORT
    return service_s * slow, ANSWERED, 200


Row = tuple[float, float, int, int, int, int]
"""Start, end, how, flow, shape, attempt."""


def live(plan: Plan, flow: int, rng: Random) -> list[Row]:
    """Return all calls of one caller."""
    law = LAWS[plan.laws[flow % len(plan.laws)]]
    spells = Spells()
    rows: list[Row] = []
    now_s = rng.expovariate(1.0 / plan.think_s)
    shape = 0
    while now_s < plan.stop_s:
        if rng.random() >= plan.repeat:
            shape += 1
        begun_s = now_s
        attempt = 0
        while now_s < plan.stop_s:
            length_s, how, status = attempt_call(rng, plan.fault, spells.cover(now_s))
            rows.append((now_s, now_s + length_s, how, flow, shape, attempt))
            now_s += length_s
            if how == ANSWERED:
                break
            most = MAX_RETRIES.get(law.name)
            delay_s = law.next_delay_s(attempt, rng, Failure(status), most, now_s - begun_s)
            if delay_s is None:
                break
            now_s += delay_s + NETWORK_S + rng.expovariate(1.0 / NETWORK_MEAN_S)
            attempt += 1
        now_s += rng.expovariate(1.0 / plan.think_s)
    return rows


def simulate(plan: Plan, seed: int) -> History:
    """Let all callers of a plan live."""
    rows = [
        row
        for flow in range(1, plan.n_callers + 1)
        for row in live(plan, flow, Random(seed * 1_000_003 + flow))
    ]
    table = np.array(rows)
    n = len(table)
    instants = (np.concatenate([table[:, 0], table[:, 1]]) * S).astype(np.int64)
    order = np.argsort(instants, kind="stable")
    return History(
        flow=table[:, 3].astype(np.int64),
        shape=table[:, 4].astype(np.int64),
        attempt=table[:, 5].astype(np.int64),
        how=table[:, 2].astype(np.int64),
        event_ns=instants[order],
        event_call=order % n,
        event_is_end=order >= n,
    )


def make_plain_bank(n_flows: int) -> SignalBank:
    """Return a bank that never finds lags worth judging: memory and shape alone."""
    bank = SignalBank(n_flows)
    bank.state.calibration["n_watched"] = np.inf
    return bank


def replay(history: History, bank: SignalBank) -> npt.NDArray[np.int64]:
    """Tell a bank what happened; return the attempt that it found for each call."""
    n = len(history.flow)
    found = np.zeros(n, np.int64)
    handles = [0] * n
    flows, shapes, hows = history.flow.tolist(), history.shape.tolist(), history.how.tolist()
    events = zip(
        history.event_ns.tolist(),
        history.event_call.tolist(),
        history.event_is_end.tolist(),
        strict=True,
    )
    for now_ns, call, is_end in events:
        if not is_end:
            flow = flows[call]
            handle = bank.observe_arrival(now_ns, 0, flow, 0, shapes[call])
            handles[call] = handle
            found[call] = handle & ATTEMPT_MASK
        elif hows[call] == LEFT:
            bank.observe_leave(now_ns, handles[call])
            bank.observe_end(now_ns, handles[call], GONE)
        else:
            bank.observe_end(now_ns, handles[call], hows[call])
    return found


class Score(NamedTuple):
    """How well retries were recognised.

    Attributes
    ----------
    n : int
        True retries.
    precision, recall : float
    exact : float
        Share of true retries with the right attempt number.
    """

    n: int
    precision: float
    recall: float
    exact: float


def score(history: History, found: npt.NDArray[np.int64]) -> Score:
    """Compare what was found with what happened."""
    true = history.attempt
    n_true, n_found = int((true > 0).sum()), int((found > 0).sum())
    n_both = int(((true > 0) & (found > 0)).sum())
    n_exact = int(((true > 0) & (found == true)).sum())
    return Score(
        n_true,
        n_both / n_found if n_found else 1.0,
        n_both / n_true if n_true else 1.0,
        n_exact / n_true if n_true else 1.0,
    )


def name_families(history: History, bank: SignalBank, least: int) -> list[int]:
    """Return the family found for every flow that has retried so often."""
    rows = bank.state.flows
    rows = rows[rows["flow"] > 0]
    n_flows = 1 + int(max(history.flow.max(initial=0), rows["flow"].max(initial=0)))
    n_retries = np.bincount(history.flow[history.attempt > 0], minlength=n_flows)
    return [int(x) for x in rows["family"][n_retries[rows["flow"]] >= least]]

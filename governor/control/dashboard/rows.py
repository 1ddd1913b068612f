"""One upstream as a row of numbers, from the counters that the gate keeps anyway.

*Rule of this file*: plain sums in, rates and levels out; differences between two
samples of the same counters. Nothing is looked up per caller.

*Cost*: some 20 us an upstream.
"""

from __future__ import annotations

from math import exp
from typing import Any

from governor.core.bands import Band
from governor.core.gate import Gate
from policies.decision import Outcome
from signals.summary import READINGS

COLUMNS = (
    "arrivals_hz",
    "retries_hz",
    "done_hz",
    "capacity_hz",
    "in_flight",
    "limit",
    "waiting_own",
    "waiting_long",
    "waiting_crowd",
    "wait_s",
    "retry_share",
    "synchrony_nats",
    "waste_recent",
    "pending",
    "signs",
)
"""What changes by the moment; kept for the charts."""

TOTALS = (
    "arrived",
    "waited",
    "sent_away",
    "left_waiting",
    "slots_kept",
    "absorbed",
    "coalesced",
    "rerouted",
    "observed",
    "useful_s",
    "wasted_s",
)
"""Sums since the start."""

SIGNS = (
    "in_step",
    "storm_foreseen",
    "cascade",
    "saturated",
    "waiting",
    "sent_away",
    "fan_out",
    "endpoint_out",
)
"""Bit by bit of the column ``signs``."""

IN_STEP, STORM, CASCADE, SATURATED, WAITING, SENT_AWAY, FAN_OUT, ENDPOINT_OUT = (
    1 << bit for bit in range(len(SIGNS))
)

FORECAST_POINTS = 8
"""Of the next four seconds, half a second each."""

BINS_A_SECOND = 20.0

WASTE_S = 10.0
"""The recent waste ratio fades with this time: a few calls of a slow service still fill it."""

PLACES = {name: idx for idx, (name, _) in enumerate(READINGS)}
"""Where each reading stands in a bank's row."""


class Row:
    """Samples one upstream.

    Parameters
    ----------
    gate : Gate
    idx : int
        The upstream's number in the process.
    """

    __slots__ = ("_before", "_gate", "_idx", "_useful_s", "_wasted_s", "history", "totals")

    def __init__(self, gate: Gate, idx: int) -> None:
        self._gate = gate
        self._idx = idx
        self._useful_s = 0.0
        self._wasted_s = 0.0
        self._before = self._count()
        self.history: list[float] = [0.0] * len(COLUMNS)
        self.totals: list[float] = [0.0] * len(TOTALS)

    def sample(self, elapsed_s: float) -> None:
        """Renew ``history`` and ``totals``; ``elapsed_s`` has passed since the last time."""
        gate, ledger = self._gate, self._gate.ledger
        before, now = self._before, self._count()
        self._before = now
        arrived, retried, done, away, useful_s, wasted_s = (
            max(0.0, x - y) for x, y in zip(now, before, strict=True)
        )
        kept = exp(-elapsed_s / WASTE_S)
        self._useful_s = self._useful_s * kept + useful_s
        self._wasted_s = self._wasted_s * kept + wasted_s
        spent_s = self._useful_s + self._wasted_s
        per_s = 1.0 / elapsed_s if elapsed_s > 0 else 0.0
        values = gate.signals.state.readings["value"].tolist()
        line = gate.line
        self.history = [
            round(arrived * per_s, 2),
            round(retried * per_s, 2),
            round(done * per_s, 2),
            round(values[PLACES["capacity"]], 2),
            gate.in_flight,
            gate.limit,
            line.length(Band.OWN),
            line.length(Band.LONG) + line.length(Band.HUNG),  # both are contained
            line.length(Band.CROWD),
            round(gate.dispatcher.expected_wait_ns / 1e9, 2) if line.n_live else 0,
            round(values[PLACES["retry_share"]], 3),
            round(gate.signals.synchrony_nats(), 1),
            round(self._wasted_s / spent_s, 4) if spent_s > 1e-6 else 0,
            int(values[PLACES["pending_failures"]]),
            self._read_signs(values, away > 0),
        ]
        self.totals = [
            ledger.n_arrived,
            ledger.n_waited,
            ledger.n_answered.total(),
            ledger.n_left_waiting,
            gate.reservations.n_kept,
            gate.refused.n_absorbed,
            ledger.n_by_outcome[Outcome.COALESCED],
            ledger.n_rerouted,
            ledger.n_observed.total(),
            round(ledger.useful_s, 1),
            round(ledger.total_s - ledger.useful_s, 1),
        ]

    def forecast(self) -> list[float]:
        """Return the arrivals a second expected in each coming half second."""
        bins = self._gate.signals.state.forecast[0]["faded"]  # expected calls in each 50 ms
        points: list[float] = (
            (bins.reshape(FORECAST_POINTS, -1).mean(axis=1) * BINS_A_SECOND).round(1).tolist()
        )
        return points

    def _count(self) -> tuple[float, ...]:
        ledger = self._gate.ledger
        return (
            ledger.n_arrived,
            ledger.n_attempts_repeated,
            ledger.n_by_outcome[Outcome.COMPLETED],
            ledger.n_answered.total(),
            ledger.useful_s,
            ledger.total_s - ledger.useful_s,
        )

    def _read_signs(self, values: list[Any], is_sending_away: bool) -> int:
        gate = self._gate
        is_in_step = (
            values[PLACES["synchrony_alarm"]]
            or values[PLACES["retry_synchrony_alarm"]]
            or values[PLACES["matched_alarm"]]
        )
        # A tree that fans out is one of the process's; its explosion says at which upstream.
        fans_out = values[PLACES["fanout_exploding"]] and any(
            x.upstream == self._idx and x.ended_s < 0 for x in gate.signals.explosions()
        )
        found = (
            is_in_step,
            values[PLACES["storm_alarm"]],
            values[PLACES["cascade"]],
            values[PLACES["saturated"]],
            gate.line_length,
            is_sending_away,
            fans_out,
            any(x.is_out for x in gate.endpoints),
        )
        return sum(1 << bit for bit, is_on in enumerate(found) if is_on)

"""What each flow's traffic looks like: rate, rhythm, fan-out, retry share, patience, client.

*Rule of this file*: measuring only; what may be is :mod:`governor.core.registry`'s. One
entry per number of the table of flows; when a number is given to another caller,
:meth:`Profiles.forget` starts anew.

*Theory*: a request adds one to a counter; everything else is read once a second from
counters and tables that exist: calls and retries per flow (the identity table), open
calls (``n_open``), the tree and its live calls (:mod:`signals.trees`), rows of (flow,
upstream) (:mod:`signals.rows`), the latest calls (:mod:`signals.state`). Rhythm is the
dispersion of the counts per second: 1 for independent calls, below for a clock,
above for bursts.

*Regime*: family, patience and tenant are those of a call that the table of calls still
holds at the second: of flows that share an entry between two readings the latest is
seen. What a flow calls is known within a few seconds (the pool of rows is read in
slices).

*Cost*: arrays are touched as callers appear, 150 bytes each; a reading of n flows is some
forty vector operations over n, at most ``N_FLOWS_A_TICK`` of them in one tick.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from governor.core.identity import Identities
from policies.envelope import N_MEASURES, RATE_KEPT, RETRIES_KEPT, RETRIES_WEIGHT, Measure
from signals import Shared

READ_NS: Final = 1_000_000_000
"""Between two readings; the decays of the envelope's measures count in it."""

UPSTREAM_MEMORY_NS: Final = 60_000_000_000
"""An upstream counts as called for a minute; rows are kept at least as long."""

N_ROWS_A_TICK: Final = 8_192
"""Rows looked at per tick: 0.1 ms; a full pool takes 16 ticks, less than a second."""

N_FLOWS_A_TICK: Final = 4_096
"""Flows read per tick: a full table takes 16 of a second's 20 ticks."""

N_UPSTREAMS: Final = 63
"""Upstreams told apart: bits of one number. Those beyond are not seen here."""

CALLS_FOR_RHYTHM: Final = 10
"""Calls within the memory of a minute before a rhythm is spoken of."""


class Profiles:
    """The profiles of all flows of a process.

    Parameters
    ----------
    identities : Identities
    shared : Shared
        The memory that all upstreams' signals share.

    Attributes
    ----------
    measures : float64 array, shape (n_flows, N_MEASURES)
        As of the last reading; ``UPSTREAMS`` is the registry's to fill.
    upstreams : int64 array
        Bit per upstream called lately.
    calls : int64 array
        Requests since the flow was first seen, as of the last reading.
    now_ns : int
        Of the latest tick.
    n_used : int
        Flows are numbered below this.
    """

    def __init__(self, identities: Identities, shared: Shared) -> None:
        self._flows = identities.flows
        self._restraints = identities.restraints
        self._shared = shared
        n = identities.flows.capacity
        self.calls = np.zeros(n, np.int64)
        self._retries_before = np.zeros(n, np.int64)
        self.measures = np.zeros((n, N_MEASURES))
        self.calls_hz = np.zeros(n)
        self._retries_hz = np.zeros(n)
        self._squares = np.zeros(n)
        self.peak_hz = np.zeros(n)
        self.peak_in_flight = np.zeros(n)
        self.first_seen_ns = np.zeros(n, np.int64)
        self.family = np.zeros(n, np.int16)
        self.tenant = np.zeros(n, np.int32)
        self.patience_ns = np.zeros(n, np.int64)
        self.upstreams = np.zeros(n, np.int64)
        self._upstreams_next = np.zeros(n, np.int64)
        self._next_row = 1
        self._read_at_ns = [-1] * (n // N_FLOWS_A_TICK + 1)
        self._cycle_at_ns = -READ_NS
        self._first = 1
        self.now_ns = -READ_NS
        self._inner_read_ns = 0
        self.n_used = 1

    def forget(self, flow: int) -> None:
        """Begin a profile anew: its number stands for another caller."""
        self._flows.n_calls[flow] = self._flows.n_retries[flow] = 0
        for column in (
            *(self.calls, self._retries_before, self.measures, self.calls_hz),
            *(self._retries_hz, self._squares, self.peak_hz, self.peak_in_flight),
            *(self.first_seen_ns, self.family, self.tenant, self.patience_ns),
            *(self.upstreams, self._upstreams_next),
        ):
            column[flow] = 0

    def tick(self, now_ns: int) -> slice | None:
        """Look at a slice of the rows, and at one of the flows; return that, if it was due.

        Each flow is read once a second.
        """
        self._read_rows()
        if now_ns < self.now_ns:  # a clock set back: begin anew
            self._read_at_ns = [now_ns] * len(self._read_at_ns)
            self._cycle_at_ns = now_ns
        self.now_ns = now_ns
        if self._first >= self.n_used:
            if now_ns - self._cycle_at_ns < READ_NS:
                return None
            self._cycle_at_ns = now_ns
            self.n_used = len(self._flows.seen_at_ns)
            self._first = 0
            self._read_calls()
        part = slice(self._first, min(self._first + N_FLOWS_A_TICK, self.n_used))
        number = self._first // N_FLOWS_A_TICK
        before_ns = self._read_at_ns[number]
        took_ns = now_ns - before_ns if before_ns >= 0 else READ_NS
        self._read_at_ns[number] = now_ns
        self._first = part.stop if part.stop < self.n_used else self.n_used
        if took_ns <= 0:
            return None
        self._read_counts(part, took_ns * 1e-9)
        self._read_trees(part)
        return part

    def _read_counts(self, part: slice, took_s: float) -> None:
        calls = np.array(self._flows.n_calls[part], np.int64)
        retries = np.array(self._flows.n_retries[part], np.int64)
        n_calls = (calls - self.calls[part]) / took_s
        n_retries = (retries - self._retries_before[part]) / took_s
        self.calls[part] = calls
        self._retries_before[part] = retries
        measures = self.measures[part]
        measures[:, Measure.IN_FLIGHT] = self._flows.n_open[part]
        for flow in self._restraints:  # pinned in the table as if a call were open
            if part.start <= flow < part.stop:
                self.measures[flow, Measure.IN_FLIGHT] -= 1
        _decay(measures[:, Measure.RATE], n_calls, RATE_KEPT**took_s)
        kept = RETRIES_KEPT**took_s
        calls_hz, retries_hz = self.calls_hz[part], self._retries_hz[part]
        _decay(calls_hz, n_calls, kept)
        _decay(retries_hz, n_retries, kept)
        _decay(self._squares[part], n_calls * n_calls, kept)
        share = measures[:, Measure.RETRIES]
        np.divide(retries_hz, calls_hz, out=share, where=calls_hz > 1e-9)
        np.maximum(self.peak_hz[part], measures[:, Measure.RATE], out=self.peak_hz[part])
        peak = self.peak_in_flight[part]
        np.maximum(peak, measures[:, Measure.IN_FLIGHT], out=peak)
        first_seen_ns = self.first_seen_ns[part]
        first_seen_ns[(first_seen_ns == 0) & (calls > 0)] = max(self.now_ns, 1)

    def _read_trees(self, part: slice) -> None:
        """Take each flow's fan-out from the tree of its latest call."""
        agents, trees = self._shared.agents[part], self._shared.trees
        tree = agents["tree"]
        is_there = (tree > 0) & (agents["life"] == trees["life"][tree])
        self.measures[part, Measure.FAN_OUT] = np.where(is_there, trees["live"][tree], 0)

    def _read_calls(self) -> None:
        """Take client, patience and tenant from the calls that arrived since the last reading."""
        process = self._shared.process[0]
        calls = self._shared.calls[1 : int(process["n_calls_used"]) + 1]
        since_ns = self._inner_read_ns
        self._inner_read_ns = int(process["now_ns"])
        recent = calls[(calls["arrived_ns"] > since_ns) & (calls["flow"] > 0)]
        if not len(recent):
            return
        flow = recent["flow"]
        self.tenant[flow] = recent["tenant"]
        told = recent["family"] > 0
        self.family[flow[told]] = recent["family"][told]
        said = recent["patience_ns"] > 0
        self.patience_ns[flow[said]] = recent["patience_ns"][said]

    def _read_rows(self) -> None:
        """Note who called which upstream lately, a slice of the pool at a time."""
        process = self._shared.process[0]
        stop = int(process["n_rows_used"]) + 1
        first = self._next_row
        rows: Any = self._shared.flows[first : min(first + N_ROWS_A_TICK, stop)]
        if len(rows):
            flow = rows["flow"]
            is_recent = rows["last_ns"] > process["now_ns"] - UPSTREAM_MEMORY_NS
            is_recent &= rows["generation"] == self._shared.agents["generation"][flow]
            is_recent &= rows["upstream"] < N_UPSTREAMS
            flow = flow[is_recent]
            bits = np.left_shift(np.int64(1), rows["upstream"][is_recent].astype(np.int64))
            np.bitwise_or.at(self._upstreams_next, flow, bits)
        self._next_row = first + N_ROWS_A_TICK
        if self._next_row >= stop:
            self._next_row = 1
            n = len(self._flows.seen_at_ns)
            self.upstreams[:n] = self._upstreams_next[:n]
            self._upstreams_next[:n] = 0

    def dispersion(self, flow: int) -> float | None:
        """Return the dispersion of a flow's counts per second; None before enough calls."""
        age_s = (self.now_ns - int(self.first_seen_ns[flow])) * 1e-9 + 1.0
        known: float = 1.0 - RETRIES_KEPT ** max(
            1.0, age_s
        )  # of a decayed mean that began with nothing
        mean = float(self.calls_hz[flow]) / known
        if mean * known / RETRIES_WEIGHT < CALLS_FOR_RHYTHM:
            return None
        return max(0.0, float(self._squares[flow]) / known - mean * mean) / mean


def _decay(column: Any, now: Any, kept: float) -> None:
    """Let a decayed mean take in one reading, in place."""
    column *= kept
    column += (1.0 - kept) * now

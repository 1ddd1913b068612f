"""The loop: callers and service on a virtual clock, seen by signal banks as they would be live.

*Rule of this file*: one heap of (instant, order, kind, what) and what each
kind does. What the banks are told is what a proxy would see: arrivals, ends,
callers that leave. What only the world knows goes to :class:`Truth`.

*Pairing*: thoughts, service times, refusals, shapes and back-offs have random
streams of their own, so runs with one seed share their whole past up to the
fault, whatever the law or the fault.

*Order*: of two events at one instant the one that was scheduled first comes
first. Ticks come every 50 ms, before events of the same instant.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Any, Protocol

import numpy as np

from bench.detect.callers import MARKING, NEVER_S
from bench.detect.service import LOG_MEAN, REFUSAL_S, SERVICE_S, SIGMA, World
from bench.detect.traces import Trace
from governor.load.laws import TRANSPORT, Failure

TICK_S = 0.05
WIRE_S = 0.001
"""Least time between a failure and the next attempt: nothing is faster on a wire."""

ANSWERED, FAILED, REFUSED, GONE = 0, 1, 2, 3
"""How a call ends (signals.bank)."""

UNMARKED = -1
SHAPES = 2**52

_SEND, _DONE, _REFUSE, _LEAVE, _FAULT, _WELL, _OVERLAY, _BESIDE, _BESIDE_DONE = range(9)


class Bank(Protocol):
    """What is fed: the facade of signals.bank.SignalBank."""

    def observe_arrival(self, now_ns: int, *shape: Any) -> int:
        """Return the call's handle."""
        ...

    def observe_leave(self, now_ns: int, call: int) -> None:
        """The caller has left; the call is still open."""

    def observe_end(self, now_ns: int, call: int, how: int, retry_after_ns: int = 0) -> None:
        """The call is over: exactly once."""

    def tick(self, now_ns: int) -> None:
        """50 ms have passed."""


class Call:
    """One attempt of one caller; ``caller`` -1 belongs to the overlay."""

    __slots__ = ("caller", "ends_s", "handle", "has_left", "is_open", "work_s")

    def __init__(self, caller: int, handle: int) -> None:
        self.caller = caller
        self.handle = handle
        self.ends_s = -1.0
        self.work_s = 0.0
        self.has_left = False
        self.is_open = True


class Truth:
    """What really happened, kept as plain lists; arrays on demand."""

    def __init__(self) -> None:
        self.arrival_rows: list[tuple[float, int, int]] = []
        """(t_s, caller or -1, attempt)"""
        self.end_rows: list[tuple[float, int, int]] = []
        """(t_s, caller or -1, how)"""
        self.leave_rows: list[tuple[float, int]] = []
        self.completions_s: list[float] = []
        """The service finished a call, whoever still wanted it."""
        self.tick_rows: list[tuple[float, int, int, float]] = []
        """(t_s, waiting in line, worked on, capacity_hz)"""

    @staticmethod
    def columns(rows: Sequence[tuple[float, ...]], n: int) -> list[Any]:
        """Return the rows as one array per column."""
        table = np.array(rows, np.float64).reshape(len(rows), n)
        return [table[:, 0], *(table[:, k].astype(np.int64) for k in range(1, n))]

    def arrivals(self) -> tuple[Any, Any, Any]:
        """Return instants, callers and attempts of every call."""
        t_s, caller, attempt = self.columns(self.arrival_rows, 3)
        return t_s, caller, attempt

    def ends(self) -> tuple[Any, Any, Any]:
        """Return instants, callers and ways of every end."""
        t_s, caller, how = self.columns(self.end_rows, 3)
        return t_s, caller, how

    def ticks(self) -> Any:
        """Return (t_s, waiting, worked on, capacity_hz), one row a tick."""
        return np.array(self.tick_rows, np.float64).reshape(len(self.tick_rows), 4)


class Simulation:
    """One run of one world.

    Parameters
    ----------
    world : World
    banks : sequence of Bank
        The first watches the service; ``Beside.upstream`` indexes the others.
    seed : int
    """

    def __init__(self, world: World, banks: Sequence[Bank], seed: int) -> None:
        self.world, self.banks, self.bank = world, banks, banks[0]
        self.truth = Truth()
        self.capacity_hz = world.capacity_hz
        self.slots = world.slots
        self.speed, self.refused_share = 1.0, 0.0
        self.line: deque[Call] = deque()
        self.working: dict[Call, None] = {}
        self.heap: list[tuple[float, int, int, Any]] = []
        self.n_events = 0
        self._think = Random(seed * 7 + 1).expovariate
        self._work = Random(seed * 7 + 2).lognormvariate
        self._refusal = Random(seed * 7 + 3).random
        self._shapes = Random(seed * 7 + 4)
        self._backoff = Random(seed * 7 + 5)
        fleet = world.fleet
        self.laws = [fleet.law_of(k) for k in range(fleet.n)]
        self.retries = [0] * fleet.n
        self.started_s = [0.0] * fleet.n
        self.shapes = [self._shapes.randrange(SHAPES) for _ in range(fleet.n)]
        self._profiles = [self._profile(k) for k in range(fleet.n)]
        self._patience_s = fleet.patience_s
        fault = world.fault
        hint = {"retry-after-ms": f"{fault.retry_after_s * 1e3:.0f}"} if fault.retry_after_s else {}
        self._fault_failure = Failure(fault.status, hint)
        self._left_failure = Failure(TRANSPORT)
        self._retry_after_ns = int(fault.retry_after_s * 1e9)

    def _profile(self, caller: int) -> tuple[int, int, int, int, bool, int, bool]:
        """Return tenant, flow, tree, family, identity, patience and whether attempts are marked."""
        fleet = self.world.fleet
        patience_ns = 0
        if fleet.tells_patience and fleet.patience_s < NEVER_S:
            patience_ns = int(fleet.patience_s * 1e9)
        flow = 1 + caller if fleet.is_identified else 0
        return (
            1 + caller % fleet.n_tenants if fleet.is_identified else 0,
            flow,
            flow,
            fleet.family_of(caller),
            fleet.is_identified,
            patience_ns,
            fleet.is_marked and self.laws[caller].name in MARKING,
        )

    def push(self, at_s: float, kind: int, what: Any) -> None:
        """Schedule one event."""
        self.n_events += 1
        heappush(self.heap, (at_s, self.n_events, kind, what))

    def run(self, on_tick: Callable[[float], object] | None = None) -> Truth:
        """Play the world to its end; return what really happened."""
        world, heap = self.world, self.heap
        mean_s = world.fleet.think_s
        for caller in range(world.fleet.n):
            self.push(self._think(1.0 / mean_s), _SEND, caller)
        if world.fault.length_s > 0.0:
            self.push(world.fault_s, _FAULT, None)
            self.push(world.fault_end_s, _WELL, None)
        if world.overlay is not None:
            self._start_stream(_OVERLAY, world.overlay.trace, world.overlay, 0)
        for beside in world.beside:
            self._start_stream(_BESIDE, beside.trace, beside, beside.upstream)
        acts = self._acts()
        n_ticks, next_tick_s = 0, 0.0
        while heap:
            at_s, _, kind, what = heappop(heap)
            while next_tick_s <= at_s and next_tick_s < world.end_s:
                self._tick(next_tick_s, on_tick)
                n_ticks += 1
                next_tick_s = n_ticks * TICK_S
            if at_s >= world.end_s:
                break
            acts[kind](at_s, what)
        return self.truth

    def _acts(self) -> tuple[Callable[[float, Any], None], ...]:
        return (
            self._on_send,
            self._on_done,
            self._on_refusal,
            self._on_leave,
            self._on_fault,
            self._on_well,
            self._on_overlay,
            self._on_beside,
            self._on_beside_done,
        )

    def _tick(self, now_s: float, on_tick: Callable[[float], object] | None) -> None:
        now_ns = round(now_s * 1e9)
        for bank in self.banks:
            bank.tick(now_ns)
        accepted = 1.0 - self.refused_share
        hz = self.capacity_hz * self.speed * (accepted > 0.0)
        self.truth.tick_rows.append((now_s, len(self.line), len(self.working), hz))
        if on_tick is not None:
            on_tick(now_s)

    # -- callers ------------------------------------------------------------------

    def _on_send(self, now_s: float, caller: int) -> None:
        tenant, flow, tree, family, is_known, patience_ns, is_marked = self._profiles[caller]
        attempt = self.retries[caller]
        if attempt == 0:
            self.started_s[caller] = now_s
            if self._shapes.random() >= self.world.fleet.repeat_share:
                self.shapes[caller] = self._shapes.randrange(SHAPES)
        marked = attempt if is_marked else UNMARKED
        handle = self.bank.observe_arrival(
            int(now_s * 1e9),
            tenant,
            flow,
            tree,
            self.shapes[caller],
            marked,
            family,
            is_known,
            patience_ns,
        )
        self.truth.arrival_rows.append((now_s, caller, attempt))
        call = Call(caller, handle)
        if self._enter(now_s, call) and self._patience_s < NEVER_S:
            self.push(now_s + self._patience_s, _LEAVE, call)

    def _again(self, now_s: float, caller: int, failure: Failure) -> None:
        """A caller's attempt has failed: it sleeps and repeats, or gives up and thinks."""
        retries = self.retries[caller]
        delay_s = self.laws[caller].next_delay_s(
            retries,
            self._backoff,
            failure,
            self.world.fleet.max_retries,
            now_s - self.started_s[caller],
        )
        if delay_s is None:
            self._rest(now_s, caller)
            return
        self.retries[caller] = retries + 1
        self.push(now_s + max(WIRE_S, delay_s), _SEND, caller)

    def _rest(self, now_s: float, caller: int) -> None:
        self.retries[caller] = 0
        self.push(now_s + self._think(1.0 / self.world.fleet.think_s), _SEND, caller)

    def _on_leave(self, now_s: float, call: Call) -> None:
        if not call.is_open:
            return
        call.has_left = True
        self.bank.observe_leave(int(now_s * 1e9), call.handle)
        self.truth.leave_rows.append((now_s, call.caller))
        self._again(now_s, call.caller, self._left_failure)

    # -- service ------------------------------------------------------------------

    def _enter(self, now_s: float, call: Call) -> bool:
        """Take a call in, or refuse it; return whether it was taken."""
        if self.refused_share > 0.0 and self._refusal() < self.refused_share:
            self.push(now_s + REFUSAL_S, _REFUSE, call)
            return False
        call.work_s = self._work(LOG_MEAN, SIGMA)
        if len(self.working) < self.slots:
            self._start(now_s, call)
        else:
            self.line.append(call)
        return True

    def _start(self, now_s: float, call: Call) -> None:
        self.working[call] = None
        call.ends_s = now_s + call.work_s / self.speed
        self.push(call.ends_s, _DONE, call)

    def _on_done(self, now_s: float, call: Call) -> None:
        if not call.is_open or call.ends_s != now_s:
            return  # re-timed when the speed changed, or broken
        del self.working[call]
        self.truth.completions_s.append(now_s)
        self._close(now_s, call, GONE if call.has_left else ANSWERED)
        if not call.has_left and call.caller >= 0:
            self._rest(now_s, call.caller)
        if self.line:
            self._start(now_s, self.line.popleft())

    def _on_refusal(self, now_s: float, call: Call) -> None:
        self._close(now_s, call, FAILED, self._retry_after_ns)
        if call.caller >= 0:
            self._again(now_s, call.caller, self._fault_failure)

    def _close(self, now_s: float, call: Call, how: int, retry_after_ns: int = 0) -> None:
        call.is_open = False
        self.bank.observe_end(int(now_s * 1e9), call.handle, how, retry_after_ns)
        self.truth.end_rows.append((now_s, call.caller, how))

    # -- faults -------------------------------------------------------------------

    def _on_fault(self, now_s: float, _: Any) -> None:
        fault = self.world.fault
        self.refused_share = fault.refused_share
        self._set_speed(now_s, fault.speed)
        if fault.breaks:
            broken = [*self.working, *self.line]
            self.working.clear()
            self.line.clear()
            for call in broken:
                self._close(now_s, call, GONE if call.has_left else FAILED)
                if not call.has_left and call.caller >= 0:
                    self._again(now_s, call.caller, self._fault_failure)

    def _on_well(self, now_s: float, _: Any) -> None:
        self.refused_share = 0.0
        self._set_speed(now_s, 1.0)

    def _set_speed(self, now_s: float, speed: float) -> None:
        factor = self.speed / speed
        self.speed = speed
        if factor != 1.0:
            for call in self.working:
                call.ends_s = now_s + (call.ends_s - now_s) * factor
                self.push(call.ends_s, _DONE, call)

    # -- recorded calls -------------------------------------------------------------

    def _start_stream(self, kind: int, trace: Trace, how: Any, upstream: int) -> None:
        """Begin one recording: an iterator of calls, the next of which is in the heap."""
        stop_s = how.start_s + self.world.end_s * how.speed
        calls = trace.between(how.start_s, stop_s).at_speed(how.speed)
        first = 1 + self.world.fleet.n
        rows = zip(
            calls.t_s.tolist(),
            calls.flow.tolist(),
            calls.tree.tolist(),
            calls.fingerprint.tolist(),
            np.nan_to_num(calls.latency_s, nan=SERVICE_S).tolist(),
            strict=True,
        )
        stream = (upstream, first, iter(rows))
        self._next_of(kind, stream)

    def _next_of(self, kind: int, stream: Any) -> None:
        row = next(stream[2], None)
        if row is not None:
            self.push(row[0], kind, (stream, row))

    def _observe_recorded(self, now_s: float, what: Any) -> int:
        (upstream, first, _), (_, flow, tree, shape, _) = what
        flow = flow + first - 1 if flow else 0
        tree = tree + first - 1 if tree else 0
        return self.banks[upstream].observe_arrival(
            int(now_s * 1e9), 0, flow, tree, shape, UNMARKED, 0, flow > 0, 0
        )

    def _on_overlay(self, now_s: float, what: Any) -> None:
        self._next_of(_OVERLAY, what[0])
        handle = self._observe_recorded(now_s, what)
        self.truth.arrival_rows.append((now_s, -1, 0))
        self._enter(now_s, Call(-1, handle))

    def _on_beside(self, now_s: float, what: Any) -> None:
        self._next_of(_BESIDE, what[0])
        handle = self._observe_recorded(now_s, what)
        self.push(now_s + what[1][4], _BESIDE_DONE, (what[0][0], handle))

    def _on_beside_done(self, now_s: float, what: tuple[int, int]) -> None:
        self.banks[what[0]].observe_end(int(now_s * 1e9), what[1], ANSWERED)

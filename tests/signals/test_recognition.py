"""Retry recognition against its slow twin, and what must not change it.

*Rule of this file*: minutes pass here, so most tests use the parts without the
buckets around them; a few short ones go through a bank.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import ANSWERED, ATTEMPT_MASK, FAILED, GONE, UNMARKED, SignalBank
from signals.calibration import make_calibration
from signals.families import CODEX, FAMILIES, STAINLESS, UNKNOWN, VERCEL
from signals.recognition import (
    READINGS,
    await_return,
    close_recognition,
    make_recognition,
    recognise,
    summarise_recognition,
    watch_success,
)
from signals.retry import MEMORY_NS, keep_failure
from signals.state import EPOCH_NS, READING_DTYPE, make_flows
from tests.signals.twins.recognition import Call, NaiveRecognition

MS = 1_000_000
S = 1_000 * MS

Event = tuple[Any, ...]

BACKOFFS_S = (0.4, 0.9, 2.0)


def make_calls(seed: int, n: int, repeat: float, p_fail: float) -> list[Event]:
    """Calls of a few flows, one after another: what came, how it ended, what came next."""
    rng = np.random.default_rng(seed)
    events: list[Event] = []
    now_ns = 0
    for idx in range(n):
        flow = int(rng.integers(0, 4))
        told = STAINLESS if flow == 3 else UNKNOWN
        marked = int(rng.choice([UNMARKED] * 10 + [0, 1, 3]))
        shape = int(rng.integers(0, 3)) if rng.random() < repeat else 100 + idx
        for retry in range(4):
            now_ns += int(rng.exponential(0.2 * S))
            events.append(("arrive", now_ns, idx, flow, shape, marked if retry == 0 else -1, told))
            now_ns += int(rng.exponential(0.05 * S))
            if rng.random() >= p_fail:
                events.append(("succeed", now_ns, idx))
                break
            kind = ("fail", "leave", "hint")[int(rng.integers(0, 3))]
            events.append((kind, now_ns, idx))
            lag_s = BACKOFFS_S[min(retry, 2)] * rng.uniform(0.9, 1.1) if kind != "hint" else 3.1
            now_ns += int(lag_s * S)
        now_ns += int(rng.exponential(rng.choice([0.5, 3.0, 40.0]) * S))
    return events


HINT_NS = 3 * S


class Parts:
    """The parts as the events' kernels put them together, at instants of one's own."""

    def __init__(self, n_flows: int = 8, start_ns: int = EPOCH_NS) -> None:
        self.flows = make_flows(n_flows)
        self.calibration = make_calibration()
        self.recognition = make_recognition()
        self.start_ns = start_ns
        self.bucket = 0

    def arrive(
        self, now_ns: int, flow: int, shape: int, marked: int = UNMARKED, told: int = UNKNOWN
    ) -> Call:
        attempt, found = recognise(
            self.flows,
            self.calibration,
            self.recognition,
            flow,
            float(shape),
            marked,
            told,
            self.start_ns + now_ns,
        )
        if found >= 0:
            self.flows[flow]["n_failed"][found] -= 1
        family = told if told or not flow else int(self.flows[flow]["family"])
        return Call(flow, shape, attempt, told, family)

    def fail(self, now_ns: int, call: Call, due_ns: int = 0) -> None:
        if call.flow:
            due_ns = due_ns and self.start_ns + due_ns
            await_return(self.calibration, call.told, call.family, call.attempt, due_ns)
            keep_failure(
                self.flows,
                call.flow,
                float(call.shape),
                call.attempt,
                call.family,
                self.start_ns + now_ns,
                due_ns,
            )

    def succeed(self, now_ns: int, call: Call) -> None:
        if call.flow:
            watch_success(
                self.flows,
                self.calibration,
                call.flow,
                float(call.shape),
                call.told,
                self.start_ns + now_ns,
            )

    def read(self) -> dict[str, float]:
        """Close one bucket and return the readings by name."""
        self.bucket += 1
        close_recognition(self.recognition, self.bucket)
        out = np.zeros(len(READINGS), READING_DTYPE)
        summarise_recognition(self.calibration, self.recognition, out)
        assert np.isfinite(out["value"]).all()
        return {name: float(x) for (name, _), x in zip(READINGS, out["value"], strict=True)}


def play(
    events: list[Event],
    parts: Parts | NaiveRecognition,
    flows: tuple[int, ...] = (0, 1, 2, 3),
) -> list[int]:
    """Tell of every event; return the attempts."""
    calls: dict[int, Call] = {}
    attempts = []
    for kind, now_ns, idx, *rest in events:
        if kind == "arrive":
            flow, *others = rest
            calls[idx] = parts.arrive(now_ns, flows[flow], *others)
            attempts.append(calls[idx].attempt)
        elif kind == "succeed":
            parts.succeed(now_ns, calls[idx])
        else:
            parts.fail(now_ns, calls[idx], now_ns + HINT_NS if kind == "hint" else 0)
    return attempts


cases = given(
    seed=st.integers(0, 2**32),
    repeat=st.sampled_from([0.02, 0.5, 1.0]),
    p_fail=st.sampled_from([0.1, 0.5, 0.9]),
)


@settings(max_examples=10, deadline=None)
@cases
def test_attempts_and_families_equal_the_slow_twin(seed: int, repeat: float, p_fail: float) -> None:
    """Each attempt, each flow's family and the control are what whole lists of lags give."""
    events = make_calls(seed, 60, repeat, p_fail)
    parts, twin = Parts(), NaiveRecognition()
    assert play(events, parts) == play(events, twin)
    assert parts.flows["family"][:4].tolist() == [twin.flows[f].family for f in range(4)]
    said = parts.read()
    assert said["repeat_share"] == pytest.approx(twin.repeat_share())
    assert said["retry_calibrated"] == twin.is_calibrated()
    n = len(twin.retries)
    assert parts.recognition[0]["n_retries"] == n
    if n:
        assert said["retry_mean_attempt"] == pytest.approx(sum(r[0] for r in twin.retries) / n)
        assert said["retry_marked_share"] == pytest.approx(sum(r[1] for r in twin.retries) / n)
        families = Counter(r[2] for r in twin.retries)
        assert families[int(said["retry_family"])] == max(families.values())


@settings(max_examples=10, deadline=None)
@cases
def test_time_and_numbers_are_arbitrary(seed: int, repeat: float, p_fail: float) -> None:
    """Shifting all instants and renumbering flows change nothing."""
    events = make_calls(seed, 60, repeat, p_fail)
    plain, moved = Parts(), Parts(start_ns=EPOCH_NS + 10**15 + 7)
    assert play(events, plain) == play(events, moved, (0, 5, 2, 7))
    assert plain.read() == moved.read()


def test_a_bank_tells_the_same_however_often_it_ticks() -> None:
    """Ticks between events change no attempt and no reading."""
    attempts, readings = [], []
    for tick_ns in (50 * MS, 35 * MS):
        bank = SignalBank(8)
        found, now_ns = [], 0
        for step in range(40):
            call = bank.observe_arrival(now_ns, 0, 1 + step % 3, 0, 7)
            found.append(call & ATTEMPT_MASK)
            if step % 4 == 0:
                bank.observe_leave(now_ns + 5 * MS, call)
                bank.observe_end(now_ns + 6 * MS, call, GONE)
            else:
                bank.observe_end(now_ns + 5 * MS, call, ANSWERED if step % 4 == 3 else FAILED)
            bank.tick(now_ns + 6 * MS + tick_ns % (20 * MS))
            now_ns += 40 * MS
        bank.tick(2 * S)
        attempts.append(found)
        readings.append([r for r in bank.read() if r.name.startswith(("retry_", "repeat_"))])
    assert attempts[0] == attempts[1]
    assert readings[0] == readings[1]
    assert max(attempts[0]) > 0


def poll(parts: Parts, n: int, every_ns: int, now_ns: int = 0) -> int:
    """One flow calls with one shape and is answered; return the next instant."""
    for _ in range(n):
        parts.succeed(now_ns + MS, parts.arrive(now_ns, 1, 7))
        now_ns += every_ns
    return now_ns


def fail_once(parts: Parts, now_ns: int, after_ns: int, hint_ns: int = 0) -> int:
    """One call fails and its shape comes back so much later; return the second's attempt."""
    parts.fail(now_ns, parts.arrive(now_ns, 1, 7), hint_ns and now_ns + hint_ns)
    second = parts.arrive(now_ns + after_ns, 1, 7)
    parts.succeed(now_ns + after_ns, second)
    return second.attempt


def test_a_poller_that_comes_as_always_is_no_retry() -> None:
    """After enough polls a failure in between does not make the next poll a retry."""
    parts = Parts()
    now_ns = poll(parts, 40, 10 * S)
    assert fail_once(parts, now_ns, 10 * S) == 0
    assert fail_once(parts, now_ns + 20 * S, 400 * MS) == 1
    said = parts.read()
    assert said["retry_calibrated"] == 1.0
    assert said["repeat_share"] > 0.9
    assert said["retry_turned_share"] == pytest.approx(0.5)


def test_without_repeats_any_lag_is_a_retry() -> None:
    """Where shapes do not repeat after success there is no control: shape settles it."""
    parts = Parts()
    assert fail_once(parts, 0, 40 * S) == 1
    said = parts.read()
    assert said["retry_calibrated"] == 0.0
    assert said["retry_mean_attempt"] == pytest.approx(1.0)


def test_who_comes_when_asked_to_is_a_retry() -> None:
    """A hint decides, whatever the caller's habit; coming at another time does not."""
    parts = Parts()
    now_ns = poll(parts, 40, 10 * S)
    assert fail_once(parts, now_ns, 10 * S, hint_ns=9_900 * MS) == 1
    assert fail_once(parts, now_ns + 20 * S, 10 * S, hint_ns=30 * S) == 0


def test_a_mark_wins_and_teaches() -> None:
    """Marked retries are believed, and unmarked callers of the family gain by their lags."""
    parts = Parts()
    now_ns = 0
    for step in range(60):
        for flow in (1, 2):
            call = parts.arrive(now_ns, flow, 7, 0, VERCEL)
            if step % 2:
                parts.succeed(now_ns, call)
                continue
            parts.fail(now_ns, call)
            call = parts.arrive(now_ns + 10 * S, flow, 7, 1, VERCEL)
            assert call.attempt == 1
            parts.succeed(now_ns + 10 * S, call)
        now_ns += 20 * S
    # Ten seconds is no back-off of Vercel's, but these callers were seen to retry then.
    parts.fail(now_ns, parts.arrive(now_ns, 3, 7, UNMARKED, VERCEL))
    assert parts.arrive(now_ns + 10 * S, 3, 7, UNMARKED, VERCEL).attempt == 1
    said = parts.read()
    assert said["retry_marked_share"] > 0.5
    assert said["retry_family"] == VERCEL
    assert said["retry_family_share"] == 1.0


def test_a_watch_ends_unrepeated_after_a_minute() -> None:
    """A success whose shape does not come back within the memory counts against repeats."""
    parts = Parts()
    for step in range(3):
        now_ns = step * 2 * MEMORY_NS
        parts.succeed(now_ns, parts.arrive(now_ns, 1, step))
    c = parts.calibration[0]
    assert (c["n_watched"][UNKNOWN], c["n_repeated"][UNKNOWN]) == (2.0, 0.0)


@pytest.mark.parametrize(
    ("lags_s", "family"),
    [((0.45, 0.9), STAINLESS), ((0.2, 0.4, 0.8), CODEX)],
)
def test_the_family_is_told_by_back_off(lags_s: tuple[float, ...], family: int) -> None:
    """One chain of retries names the client, and its later calls carry the name."""
    bank = SignalBank(4)
    now_ns = 0
    call = bank.observe_arrival(now_ns, 0, 1, 0, 7)
    for lag_s in lags_s:
        bank.observe_end(now_ns, call, FAILED)
        now_ns += int(lag_s * S) + 3 * MS
        call = bank.observe_arrival(now_ns, 0, 1, 0, 7)
    assert FAMILIES[bank.state.flows[1]["family"]] == FAMILIES[family]
    bank.observe_end(now_ns, call, ANSWERED)
    call = bank.observe_arrival(now_ns + MS, 0, 1, 0, 8)
    assert bank.state.calls[call // (ATTEMPT_MASK + 1)]["family"] == family
    assert bank.state.calls[call // (ATTEMPT_MASK + 1)]["told"] == UNKNOWN

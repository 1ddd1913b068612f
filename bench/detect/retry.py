"""Retry inference with every marking header removed: SDK by SDK, and on recordings.

*Rule of this file*: which cases, and their tables. Callers and replay are in
:mod:`bench.detect.retry_callers`.

*Cases*: every law of ``governor/load/laws.py`` that retries, failures by status
and by leaving, shapes repeated by 2 %, 50 % and 100 % of tasks. **Plain** is
memory and shape alone; **calibrated** is what the signals do. Scores count from
the first call on: what was wrong while there was nothing to go by is in them.

*Seeds*: constants were chosen on even seeds, figures are of odd ones.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from bench.detect.base import Options, Section, claim
from bench.detect.retry_callers import (
    FAULTS,
    Plan,
    Score,
    make_plain_bank,
    name_families,
    replay,
    score,
    simulate,
)
from bench.detect.traces import as_codes, as_floats, columns_of
from bench.report import table
from governor.load.laws import LAWS
from signals import ANSWERED, ATTEMPT_MASK, FAILED, SignalBank
from signals.families import SCHEDULES

S = 1_000_000_000

RETRYING = tuple(name for name in LAWS if name not in ("requests", "mcp", "anthropic"))
"""Two never retry; Anthropic's law is OpenAI's."""

MIX = ("openai", "codex", "vercel", "google-api-core", "boto3", "litellm", "gemini-cli")
"""All at one upstream, none told by a header."""

OVERLAPPING = ("openai", "google-genai", "tenacity-full-jitter", "langgraph")
"""Laws whose back-off is as long as a quick caller thinks."""

QUICK_THINK_S = 2.0
N_MIN = 100
"""True retries without which a case says nothing: the law does not retry this failure."""

NAMED_AFTER = 3
"""Retries of a flow after which its family should be known."""

FAMILY_OF = {s.name: s.family for s in reversed(SCHEDULES)} | {"boto3": 7}


class Case(NamedTuple):
    """One plan's scores, means over seeds, and how often each family was named."""

    laws: tuple[str, ...]
    fault: str
    repeat: float
    think_s: float
    plain: Score
    calibrated: Score
    worst: Score
    families: Counter[int]


def find_twins(family: int) -> set[int]:
    """Return the families that have one of this family's laws, to within nothing."""
    intervals = {s.intervals_s for s in SCHEDULES if s.family == family}
    return {s.family for s in SCHEDULES if s.intervals_s in intervals}


def average(scores: list[Score]) -> Score:
    """Return the mean of each figure, and all retries together."""
    return Score(sum(s.n for s in scores), *(fmean(s[idx] for s in scores) for idx in (1, 2, 3)))


def run_case(
    laws: tuple[str, ...], fault: str, repeat: float, think_s: float, options: Options
) -> Case | None:
    """Play one plan with every seed; None if its law does not retry this failure."""
    seeds = options.report_seeds if repeat in (0.02, 1.0) else options.report_seeds[:1]
    small = {"n_callers": 100, "stop_s": 200.0} if options.quick else {}
    plan = Plan(laws, fault, repeat, think_s, **small)  # type: ignore[arg-type]
    plain: list[Score] = []
    calibrated: list[Score] = []
    families: Counter[int] = Counter()
    for seed in seeds[:1] if options.quick else seeds:
        history = simulate(plan, seed)
        if (history.attempt > 0).sum() < (N_MIN if not options.quick else 10):
            return None
        plain.append(score(history, replay(history, make_plain_bank(plan.n_callers + 1))))
        bank = SignalBank(plan.n_callers + 1)
        calibrated.append(score(history, replay(history, bank)))
        families.update(name_families(history, bank, NAMED_AFTER))
    worst = Score(0, *(min(s[idx] for s in calibrated) for idx in (1, 2, 3)))
    return Case(laws, fault, repeat, think_s, average(plain), average(calibrated), worst, families)


def compute_named(case: Case, twins: bool) -> float:
    """Return the share of flows whose family was named; or one that cannot be told from it."""
    family = FAMILY_OF[case.laws[0]]
    right = find_twins(family) if twins else {family}
    total = sum(case.families.values())
    return sum(n for name, n in case.families.items() if name in right) / max(total, 1)


def show(s: Score) -> list[str]:
    """Return precision, recall and exactness as cells."""
    return [f"{s.precision:.3f}", f"{s.recall:.3f}", f"{s.exact:.3f}"]


def show_laws(cases: list[Case], repeat: float) -> str:
    """Return the table of one share of repeated shapes."""
    rows = [
        [
            case.laws[0],
            case.fault,
            case.plain.n,
            *show(case.plain),
            *show(case.calibrated),
            f"{compute_named(case, False):.2f}",
            f"{compute_named(case, True):.2f}",
        ]
        for case in cases
        if case.repeat == repeat and len(case.laws) == 1 and case.think_s > QUICK_THINK_S
    ]
    head = ["law", "fault", "retries", "plain P", "R", "exact", "calibrated P", "R", "exact"]
    return table([*head, "family", "or its twin"], rows)


# -- recordings -------------------------------------------------------------------


def play_recording(
    t_s: Any, flow: Any, shape: Any, is_failed: Any, latency_s: float = 0.1
) -> tuple[Any, SignalBank]:
    """Tell a bank of recorded calls, each over after the latency; return the attempts found."""
    bank = SignalBank(int(flow.max()) + 1)
    n = len(t_s)
    instants = np.concatenate([t_s, t_s + latency_s])
    handles = [0] * n
    found = np.zeros(n, np.int64)
    for event in np.argsort(instants, kind="stable").tolist():
        idx, now_ns = event % n, int(instants[event] * 1e9)
        if event < n:
            handles[idx] = bank.observe_arrival(now_ns, 0, int(flow[idx]), 0, int(shape[idx]))
            found[idx] = handles[idx] & ATTEMPT_MASK
        else:
            bank.observe_end(now_ns, handles[idx], FAILED if is_failed[idx] else ANSWERED)
    bank.tick(int(instants.max() * 1e9) + S)
    return found, bank


def read_repeat_share(bank: SignalBank) -> float:
    """Return the reading."""
    return next(reading.value for reading in bank.read() if reading.name == "repeat_share")


def play_claude(folder: Path) -> list[Any]:
    """Real agents: does a call ever have the shape of the one before?"""
    columns = columns_of(folder / "claude_code_sessions.csv.gz")
    t_s, (flow, _) = as_floats(columns["t_s"]), as_codes(columns["agent"])
    size = as_floats(columns["in_size"]).astype(np.int64)
    order = np.lexsort((t_s, flow))
    t_s, flow, size = t_s[order], flow[order], size[order]
    follows = flow[1:] == flow[:-1]
    n_equal = int((follows & (size[1:] == size[:-1])).sum())
    found, _ = play_recording(t_s, flow, size, np.ones(len(t_s), bool))
    _, bank = play_recording(t_s, flow, size, np.zeros(len(t_s), bool))
    said = f"{int(follows.sum()):,} consecutive calls, {n_equal} of equal size"
    false = f"had every call failed: {int((found > 0).sum())} taken for retries"
    return ["Claude Code sessions", said, f"{false}; repeat share {read_repeat_share(bank):.4f}"]


def play_mooncake(folder: Path) -> list[Any]:
    """Resubmissions, marked in the recording; which calls had failed is not known."""
    columns = columns_of(folder / "mooncake_conversation.csv.gz")
    t_s, (flow, _) = as_floats(columns["t_dequant_s"]), as_codes(columns["session"])
    size = as_floats(columns["in_size"]).astype(np.int64)
    is_true = as_floats(columns["resubmit"]) > 0
    order = np.argsort(t_s, kind="stable")
    t_s, flow, size, is_true = t_s[order], flow[order], size[order], is_true[order]
    found, _ = play_recording(t_s, flow, size, np.ones(len(t_s), bool))
    n_right, n_false = int(((found > 0) & is_true).sum()), int(((found > 0) & ~is_true).sum())
    said = f"{int(is_true.sum())} resubmissions"
    return ["Mooncake", said, f"had every call failed: {n_right} found, {n_false} false"]


def play_nasa(folder: Path) -> list[Any]:
    """Repeats of a page that a host was refused."""
    columns = columns_of(folder / "nasa_http_1995-08-01.csv.gz")
    t_s, (flow, _) = as_floats(columns["t_s"]), as_codes(columns["agent"])
    (target, _), status = as_codes(columns["target"]), as_floats(columns["status"])
    found, bank = play_recording(t_s, flow, target, status >= 400)
    hosts = flow[found > 0]
    at_s = t_s[found > 0]
    most = max((len(set(hosts[(at_s > s - 10) & (at_s <= s)].tolist())) for s in at_s), default=0)
    done = f"{len(at_s)} retries by {len(set(hosts.tolist()))} hosts, at most {most} in 10 s"
    said = f"{int((status >= 400).sum())} calls answered 4xx or 5xx"
    return ["NASA", said, f"{done}; repeat share {read_repeat_share(bank):.3f}"]


def play_recordings(folder: Path | None) -> str:
    """Return the table of recordings."""
    files = {
        "claude_code_sessions.csv.gz": play_claude,
        "mooncake_conversation.csv.gz": play_mooncake,
        "nasa_http_1995-08-01.csv.gz": play_nasa,
    }
    rows = [
        play(folder)
        for file, play in files.items()
        if folder is not None and (folder / file).exists()
    ]
    return table(["recording", "what it holds", "found"], rows) if rows else "*Not present.*"


# -- the section ------------------------------------------------------------------


def run_cases(options: Options) -> list[Case]:
    """Play every plan."""
    plans = [
        ((law,), fault, repeat, 10.0)
        for repeat in (0.02, 0.5, 1.0)
        for law in RETRYING
        for fault in FAULTS
    ]
    plans += [((law,), fault, 1.0, QUICK_THINK_S) for law in OVERLAPPING for fault in FAULTS]
    plans += [(MIX, fault, 1.0, think_s) for fault in FAULTS for think_s in (10.0, QUICK_THINK_S)]
    if options.quick:
        plans = [plan for plan in plans if plan[0][0] in ("openai", "vercel", "boto3")]
    cases = [run_case(*plan, options) for plan in plans]
    return [case for case in cases if case is not None]


def judge(cases: list[Case], quick: bool) -> list[Any]:
    """Return the claims: the worst seed of the worst law."""
    single = [c for c in cases if len(c.laws) == 1 and c.think_s > QUICK_THINK_S]
    rare = [c.worst for c in single if c.repeat == 0.02]
    always = [c.worst for c in single if c.repeat == 1.0]
    rows = [
        ("precision >= 0.98", "2 % repeated shapes", min(s.precision for s in rare), 0.98),
        ("recall >= 0.99", "2 % repeated shapes", min(s.recall for s in rare), 0.99),
        ("precision >= 0.95", "one shape always", min(s.precision for s in always), 0.95),
    ]
    return [
        claim(f"retries, {where}, worst law", asked, f"{x:.3f}", None if quick else x >= least)
        for asked, where, x, least in rows
    ]


def show_hard(cases: list[Case]) -> str:
    """Return the table of what is hard: think as quick as back-off, many laws at once."""
    rows = [
        [
            case.laws[0] if len(case.laws) == 1 else f"{len(case.laws)} laws at once",
            case.fault,
            f"{case.think_s:g} s",
            *show(case.plain),
            *show(case.calibrated),
        ]
        for case in cases
        if case.think_s == QUICK_THINK_S or len(case.laws) > 1
    ]
    head = ["law", "fault", "think", "plain P", "R", "exact", "calibrated P", "R", "exact"]
    return table(head, rows)


def run(options: Options) -> Section:
    """Measure retry inference."""
    cases = run_cases(options)
    shares = (0.02, 0.5, 1.0)
    parts = [
        "P precision, R recall, exact: true retries whose number is right. Family: flows "
        f"with {NAMED_AFTER} retries or more whose client is named; twin: or one with the "
        "same intervals. Failures by status (refuse) and by leaving (stall).",
        *(f"### {x:.0%} of tasks repeat a shape\n\n{show_laws(cases, x)}" for x in shares),
        f"### Hard cases, every call one shape\n\n{show_hard(cases)}",
        f"### Recordings\n\n{play_recordings(options.traces)}",
    ]
    data = {
        "claims": judge(cases, options.quick),
        "cases": [
            {
                "laws": case.laws,
                "fault": case.fault,
                "repeat": case.repeat,
                "think_s": case.think_s,
                "plain": case.plain._asdict(),
                "calibrated": case.calibrated._asdict(),
                "worst": case.worst._asdict(),
                "families": {str(family): n for family, n in case.families.items()},
            }
            for case in cases
        ],
    }
    return Section("Retry inference with every marking header removed", "\n\n".join(parts), data)

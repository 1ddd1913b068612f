"""Section "storms": every fault, load, size and SDK; alone and over recorded traffic.

*Rule of this file*: from what was found in each storm to tables and claims.
The grid and one run are :mod:`bench.detect.storm_cases`.

*How much of the grid*: full mode plays all loads and report seeds at 500
agents, two loads below, all loads and one seed at 2,000, one load and one seed
at 5,000; overlaid on each recording at ten times its speed, and without
identity: one load (0.7), one seed. Quick: one load, one seed, three sizes.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bench.detect.base import Options, Section, claim
from bench.detect.callers import NEVER_S
from bench.detect.storm_cases import (
    ALARMS,
    BEFORE_S,
    LAWS,
    SLACK_S,
    STORM_FAULTS,
    Case,
    Found,
    cases_alone,
    cases_overlaid,
    cases_unidentified,
    run_case,
)
from bench.report import table

BIG = 500
"""Storms of so many agents or more must all be seen."""

Runs = Sequence[Found]


def seconds(values: Iterable[float]) -> str:
    """Return median and 90th percentile; a dash if nothing was seen."""
    seen = [value for value in values if value < NEVER_S]
    if not seen:
        return "–"
    return f"{np.median(seen):.2f} / {np.quantile(seen, 0.9):.2f}"


def share(hits: Iterable[bool]) -> str:
    """Return 'k of n'."""
    known = list(hits)
    return f"{sum(known)} of {len(known)}"


def real(runs: Runs, least: int = BIG) -> list[Found]:
    """Return the storms that are large enough and whose callers come back at all."""
    return [run for run in runs if run.case.n >= least and run.case.has_retries]


def table_of_laws(runs: Runs) -> str:
    """Return one row per fault and law: how many were seen in time, and when."""
    rows = []
    for fault in STORM_FAULTS:
        for law in LAWS:
            mine = [run for run in real(runs) if (run.case.fault, run.case.law) == (fault, law)]
            if not mine:
                continue
            rows.append(
                [
                    fault,
                    law,
                    share(run.is_in_time for run in mine),
                    f"{mine[0].case.bound_s:.2f}",
                    seconds(run.delay_s for run in mine),
                    share(run.is_seen_in_time for run in mine),
                    seconds(run.seen_s for run in mine),
                    share(run.has_right_verdict for run in mine),
                    seconds(run.verdict_s for run in mine),
                    sum(bool(run.before) for run in mine),
                    sum(bool(run.elsewhere) for run in mine),
                ]
            )
    head = ["fault", "law", "in time", "bound s", "delay s p50 / p90"]
    head += ["without forecast: in time", "its delay s", "right verdict"]
    head += ["cascade s p50 / p90", "alarm before", "alarm at the other upstream"]
    return table(head, rows)


def table_of_alarms(runs: Runs) -> str:
    """Return one row per fault and alarm: how often it stood, was first, and when."""
    rows = []
    for fault in STORM_FAULTS:
        mine = [run for run in real(runs) if run.case.fault == fault]
        for name in ALARMS:
            if not any(name in run.delays_s for run in runs):
                continue
            delays_s = [run.delays_s.get(name, NEVER_S) for run in mine]
            is_first = [d < NEVER_S and d == r.delay_s for d, r in zip(delays_s, mine, strict=True)]
            stood = share(d < NEVER_S for d in delays_s)
            rows.append([fault, name, stood, share(is_first), seconds(delays_s)])
    return table(["fault", "reading", "stood", "first, or as early", "delay s p50 / p90"], rows)


def list_small(runs: Runs) -> str:
    """Return which alarms stood before the fault in small fleets, and how often."""
    names = Counter(name for run in runs for name in run.before)
    if not names:
        return "."
    return " (" + ", ".join(f"{name} {n}" for name, n in names.most_common()) + ")."


def smallest(runs: Runs, is_forecast: bool = False) -> str:
    """Return the least size from which on every run was detected; a dash if none."""
    answer = None
    for n in sorted({run.case.n for run in runs}, reverse=True):
        delays_s = [run.delay_s if is_forecast else run.seen_s for run in runs if run.case.n == n]
        if max(delays_s) == NEVER_S:
            break
        answer = n
    return "–" if answer is None else f"{answer:,}"


def table_of_sizes(runs: Runs, is_forecast: bool = False) -> str:
    """Return one row per background, one column per law: crash / refuse / stall."""
    rows = []
    for background in dict.fromkeys(run.case.background for run in runs):
        row = [f"{background} ×10" if background else "alone"]
        for law in LAWS:
            cells = []
            for fault in STORM_FAULTS:
                mine = [
                    run
                    for run in real(runs, 0)
                    if (run.case.background, run.case.law, run.case.fault)
                    == (background, law, fault)
                ]
                cells.append(smallest(mine, is_forecast) if mine else "n/a")
            row.append(" / ".join(cells))
        rows.append(row)
    return table(["background", *LAWS], rows)


def list_misses(runs: Runs) -> str:
    """Return what was late, missed or misjudged among the large storms, one line each."""
    lines = []
    for run in real(runs):
        faults = []
        if not run.is_seen_in_time:
            by = "detected" if not run.is_in_time else "without forecast detected"
            at_s = run.delay_s if not run.is_in_time else run.seen_s
            delay = "never" if at_s == NEVER_S else f"after {at_s:.2f} s"
            faults.append(f"{by} {delay}, bound {run.case.bound_s:.2f} s")
        if not run.has_right_verdict:
            other = [name for name in run.delays_s if name not in ALARMS]
            share_text = f"retries up to {run.true_share:.2f} of arrivals"
            faults.append(f"verdict {', '.join(other) or 'none'}, {share_text}")
        if run.before:
            faults.append(f"before the fault: {', '.join(run.before)}")
        if run.elsewhere:
            faults.append(f"at the other upstream: {', '.join(run.elsewhere)}")
        if faults:
            c = run.case
            over = f" over {c.background}" if c.background else ""
            where = f"{c.fault}, {c.law}, {c.n:,} agents, load {c.load:g}, seed {c.seed}{over}"
            lines.append(f"- {where}: {'; '.join(faults)}")
    shown = lines[:40] + ([f"- … and {len(lines) - 40} more"] if len(lines) > 40 else [])
    return "\n".join(shown) or "None."


def claims_of(alone: Runs, overlaid: Runs) -> list[list[Any]]:
    """Return the rows for the table at the top."""
    rows = []
    asked = f"every one within back-off (+ patience) + {SLACK_S} s"
    for what, runs in (("alone", real(alone)), ("over recorded traffic", real(overlaid))):
        if not runs:
            rows.append(claim(f"storms {what}, ≥ {BIG} agents", asked, "no traces", None))
            continue
        hits = [run.is_in_time for run in runs]
        rows.append(claim(f"storms {what}, ≥ {BIG} agents", asked, share(hits), all(hits)))
        hits = [run.is_seen_in_time for run in runs]
        text = f"the same by callers that came back, without the forecast, {what}"
        rows.append(claim(text, "for comparison", share(hits), None))
        verdicts = [run.has_right_verdict for run in runs]
        n_cascade = sum(run.verdict_s < NEVER_S for run in runs)
        text = f"{share(verdicts)} (cascade {n_cascade}, mixed {sum(verdicts) - n_cascade})"
        rows.append(claim(f"verdict, storms {what}", "right, every one", text, all(verdicts)))
    runs = [*real(alone), *real(overlaid)]
    n_before = sum(bool(run.before) for run in runs)
    what = f"alarms in the {BEFORE_S:.0f} s before, ≥ {BIG} agents"
    rows.append(claim(what, "none", f"{n_before} in {len(runs)} storms", n_before == 0))
    n_elsewhere = sum(bool(run.elsewhere) for run in [*alone, *overlaid])
    text = f"{n_elsewhere} in {len(alone) + len(overlaid)} storms"
    rows.append(claim("alarms at the upstream that is well", "none", text, n_elsewhere == 0))
    return rows


def as_data(run: Found) -> dict[str, Any]:
    """Return one run as JSON values."""
    delays_s = {name: round(delay_s, 3) for name, delay_s in run.delays_s.items()}
    return {
        **run.case._asdict(),
        "delays_s": delays_s,
        "before": run.before,
        "elsewhere": run.elsewhere,
        "true_share": round(run.true_share, 3),
    }


NOTE = """\
Closed-loop callers (think time exponential, mean 10 s; one new shape a task; no marking
headers, so every retry is inferred), slots with a FIFO line, service time lognormal with mean
0.3 s, work goes on for callers that left. *crash*: all in flight breaks, then 2 s refused.
*refuse*: nine in ten answered 503 for 4 s. *stall*: a tenth of the speed for 4 s, callers leave
after 2 s. Delay: from the fault to the first tick (50 ms) at which an alarm stands. Bound: the
law's longest first back-off, plus the 2 s of patience in a stall, plus 0.3 s; for the mix
(OpenAI, Codex, Vercel, full jitter, boto3) the median member's back-off. urllib3 does not repeat
a 503 without `Retry-After`, so its refusal makes no storm and is left out. Right verdict:
cascade; or mixed, where retries never were a fifth of the arrivals of a second (a small fleet
over much other traffic). No threshold was chosen on these runs."""


def play(cases: Iterable[Case], options: Options, what: str) -> list[Found]:
    """Run the cases, with a line of progress."""
    known = list(cases)
    found = []
    for number, case in enumerate(known, 1):
        found.append(run_case(case, options))
        if number % 50 == 0 or number == len(known):
            print(f"  storms {what}: {number} of {len(known)}", file=sys.stderr, flush=True)
    return found


def run(options: Options) -> Section:
    """Play all storms; return tables and claims."""
    alone = play(cases_alone(options), options, "alone")
    overlaid = play(cases_overlaid(options), options, "over recordings")
    unknown = play(cases_unidentified(options), options, "without identity")
    small = [run for run in [*alone, *overlaid] if run.case.n < BIG]
    n_small = sum(bool(run.before) for run in small)
    parts = [
        NOTE,
        f"### Storms of {BIG} agents and more, alone ({len(real(alone))})",
        table_of_laws(alone),
        f"### The same over each recording at ten times its speed ({len(real(overlaid))})",
        table_of_laws(overlaid) if overlaid else "*Traces not present.*",
        "### Which reading says it",
        table_of_alarms([*alone, *overlaid]),
        "### Smallest fleet from which on every storm was detected: crash / refuse / stall",
        "Without the forecast, by callers that came back. Alone: all loads and seeds; a number "
        "means every run of that size and above.",
        table_of_sizes([*alone, *overlaid]),
        "By any alarm, the forecast's included:",
        table_of_sizes([*alone, *overlaid], is_forecast=True),
        f"Alarms before the fault, below {BIG} agents: {n_small} of {len(small)} runs"
        + list_small(small),
        "### Callers without any identity",
        "Nothing is known of them but instants and how calls end; the matched filter and the "
        "forecast must do. Not asked for; no synchrony alarm may be raised by a hint.",
        table_of_laws(unknown),
        f"### What fell short, ≥ {BIG} agents",
        list_misses([*alone, *overlaid]),
    ]
    data = {
        "claims": claims_of(alone, overlaid),
        "alone": [as_data(run) for run in alone],
        "overlaid": [as_data(run) for run in overlaid],
        "unidentified": [as_data(run) for run in unknown],
    }
    return Section("Storms", "\n\n".join(parts), data, [])

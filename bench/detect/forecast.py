"""Section "forecast": error by horizon, lead time before capacity is crossed, false alarms, cost.

*Rule of this file*: the grid, tables and claims; one run is :mod:`bench.detect.forecast_runs`.

*Seeds*: constants were chosen on seeds 0 and 2; report seeds are others.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bench.detect.base import Options, Section, claim
from bench.detect.callers import NEVER_S
from bench.detect.consumer import make_bank
from bench.detect.forecast_runs import METHODS, Case, Found, count_false, run_case
from bench.report import table

LAWS = ("openai", "codex", "vercel", "tenacity-full-jitter", "boto3", "mix")
LOADS = (0.5, 0.7, 0.85, 0.95)
FAULTS = ("crash", "refuse", "stall", "crash-10")
N_FLOWS = 512
FALSE_HOURS = 0.05

Runs = Sequence[Found]


def make_cases(options: Options) -> list[Case]:
    """Return every run to make."""
    seeds = options.report_seeds[:1] if options.quick else options.report_seeds
    loads = (0.7,) if options.quick else LOADS
    laws = LAWS[:3] if options.quick else LAWS
    cases = []
    for seed in seeds:
        for law in laws:
            for fault in FAULTS:
                for load in loads if fault != "crash-10" else (0.7,):
                    cases.append(Case(fault, law, load, seed))
                cases.append(Case(fault, law, 0.7, seed, tells_family=False))
                cases.append(Case(fault, law, 0.7, seed, tells_family=False, is_second=True))
            for load in loads:
                cases.append(Case("stall", law, load, seed, tells_patience=True))
                for n in () if options.quick else (500,):
                    cases.append(Case("stall", law, load, seed, n))
                    cases.append(Case("stall", law, load, seed, n, tells_patience=True))
                    cases.append(Case("refuse", law, load, seed, n))
                if seed == seeds[0]:
                    for fault in FAULTS[:3]:
                        cases.append(Case(fault, law, load, seed, is_capacity_told=False))
    return cases


def select(runs: Runs, **wanted: Any) -> list[Found]:
    """Return the runs whose case has these values, and defaults in what is not named."""
    plain = {"tells_family": True, "tells_patience": False, "is_second": False}
    plain |= {"is_capacity_told": True} | wanted
    return [run for run in runs if all(getattr(run.case, k) == v for k, v in plain.items())]


def error_of(runs: Runs, method: int = 0) -> list[float]:
    """Return a method's error by horizon over some runs."""
    total = np.sum([run.errors for run in runs], axis=0)
    return [float(x) for x in total[method] / np.maximum(total[-1], 1.0)]


def show(values: Iterable[float]) -> str:
    """Return errors as .12/.34."""
    return "/".join(f"{value:.2f}".lstrip("0") for value in values)


def table_of_errors(runs: Runs) -> str:
    """Return error by fault and method, and what is known beforehand."""
    rows = []
    for fault in FAULTS:
        mine = select(runs, fault=fault, n=2_000)
        rows.append([fault, *(show(error_of(mine, k)) for k in range(len(METHODS)))])
        for is_second in (False, True):
            late = select(runs, fault=fault, tells_family=False, is_second=is_second)
            rows[-1].append(show(error_of(late)))
    head = ["fault", *METHODS, "unknown client, first storm", "unknown client, second storm"]
    return table(head, rows)


def table_of_laws(runs: Runs) -> str:
    """Return the forecast's error by law and fault."""
    laws = [law for law in LAWS if any(run.case.law == law for run in runs)]
    rows = [
        [law, *(show(error_of(select(runs, fault=fault, law=law, n=2_000))) for fault in FAULTS)]
        for law in laws
    ]
    return table(["law", *FAULTS], rows)


def median_lead_s(runs: Runs) -> float:
    """Return the median lead over the runs that cross capacity; a missed one leads not at all."""
    leads = [max(-9.0, run.lead_s) for run in runs if run.is_crossed]
    return float(np.median(leads)) if leads else -NEVER_S


def show_lead(runs: Runs) -> list[str]:
    """Return crossings, alarms before, median and 10th percentile, spurious alarms."""
    crossed = [run for run in runs if run.is_crossed]
    calm = [run for run in runs if not run.is_crossed]
    spurious = f"{sum(run.alarm_s < NEVER_S for run in calm)} of {len(calm)}"
    if not crossed:
        return ["0", "–", "–", spurious]
    leads = [max(-9.0, run.lead_s) for run in crossed]
    quantiles = f"{np.median(leads):.2f} / {np.quantile(leads, 0.1):.2f}"
    return [str(len(crossed)), str(sum(x > 0.0 for x in leads)), quantiles, spurious]


def table_of_leads(runs: Runs) -> str:
    """Return lead time by what befalls the service, and by load or law."""
    rows = []
    loads = sorted({run.case.load for run in runs})
    for load in loads:
        for known in (False, True):
            mine = select(runs, fault="stall", load=load, tells_patience=known)
            what = f"stall, patience {'told' if known else 'learned'}, load {load}"
            rows.append([what, *show_lead(mine)])
    for fault in ("refuse", "crash"):
        for load in loads:
            mine = select(runs, fault=fault, load=load)
            rows.append([f"{fault}, all laws, load {load}", *show_lead(mine)])
        for law in LAWS:
            mine = select(runs, fault=fault, law=law)
            if mine:
                rows.append([f"{fault}, {law}, all loads", *show_lead(mine)])
    for fault in FAULTS[:3]:
        mine = select(runs, fault=fault, is_capacity_told=False)
        rows.append([f"{fault}, capacity learned", *show_lead(mine)])
    head = ["what", "crossings", "alarm before", "lead s p50 / p10", "spurious when none"]
    return table(head, rows)


def table_of_false(options: Options) -> tuple[str, dict[str, float]]:
    """Return alarms an hour where nothing befalls the service."""
    rows, data = [], {}
    sizes = (100,) if options.quick else (100, 500, 2_000)
    for n in sizes:
        row = [str(n)]
        for load in LOADS:
            for told in (False, True):
                hours = FALSE_HOURS * (4 if n <= 500 else 1)
                rate = count_false(load, n, options.report_seeds[0], told, hours) / hours
                data[f"{n} {load} {'told' if told else 'learned'}"] = rate
                row.append(f"{rate:.0f}")
        rows.append(row)
    known = ("learned", "told")
    head = ["callers", *(f"{load}, patience {how}" for load in LOADS for how in known)]
    return table(head, rows), data


def measure_cost() -> dict[str, float]:
    """Return microseconds a tick: nothing fails; six families out, two attempts each."""
    found = {}
    for name, fails in (("quiet", False), ("storm", True)):
        bank = make_bank(N_FLOWS)
        now_ns, shape = 0, 0
        spent = []
        for tick in range(400):
            for flow in range(1, 51):
                shape += 1
                family = (1, 3, 4, 7, 10, 6)[flow % 6]
                marked = (shape // 7) % 2
                now_ns += 900_000
                call = bank.observe_arrival(now_ns, 1, flow, flow, shape, marked, family)
                bank.observe_end(now_ns, call, 1 if fails else 0)
            now_ns = (tick + 1) * 50_000_000
            started = time.perf_counter()
            bank.tick(now_ns)
            spent.append(time.perf_counter() - started)
        found[name] = 1e6 * float(np.median(spent[100:]))
    return found


def make_claims(runs: Runs) -> list[list[Any]]:
    """Return the figures that were asked for."""
    claims = []
    asked = (
        ("stall, patience learned", 1.0, select(runs, fault="stall")),
        ("stall, patience told", 2.0, select(runs, fault="stall", tells_patience=True)),
        ("refusal, OpenAI and Anthropic", 0.25, select(runs, fault="refuse", law="openai")),
        ("refusal, Vercel", 1.5, select(runs, fault="refuse", law="vercel")),
    )
    for what, least_s, mine in asked:
        lead_s = median_lead_s(mine)
        asks = f"median lead >= {least_s} s"
        claims.append(claim(what, asks, f"{lead_s:.2f} s", lead_s >= least_s - 1e-9))
    for fault in ("crash", "refuse"):
        mine = select(runs, fault=fault, n=2_000)
        ours, last = error_of(mine), error_of(mine, 1)
        what = f"forecast error against persistence, {fault}"
        better = all(a < b for a, b in zip(ours, last, strict=True))
        claims.append(claim(what, "less at every horizon", f"{show(ours)}, {show(last)}", better))
    return claims


def run(options: Options) -> Section:
    """Measure everything."""
    runs = [run_case(case) for case in make_cases(options)]
    false_table, false_data = table_of_false(options)
    cost = measure_cost()
    text = "\n\n".join(
        [
            "### Error by horizon (0-0.5 / 0.5-1 / 1-2 / 2-4 s)",
            table_of_errors(runs),
            "By law, the client told:",
            table_of_laws(runs),
            "### Lead: from the alarm to the start of the first 0.5 s window over capacity",
            table_of_leads(runs),
            "A meter of 0.5 s sees the crossing half a second after the window's start. boto3's "
            "first retry (0 to 50 ms) is shorter than a tick: nothing can lead it, and the "
            "reading `returns_within_tick` says so.",
            "### Alarms an hour where nothing befalls the service (callers leave after 2 s)",
            false_table,
            "### Cost of a tick, whole bank",
            table(["", "us"], [[name, f"{us:.1f}"] for name, us in cost.items()]),
        ]
    )
    data = {
        "claims": make_claims(runs),
        "false_per_hour": false_data,
        "cost_us": cost,
        "runs": [
            {
                **run._asdict()["case"]._asdict(),
                "lead_s": run.lead_s if run.is_crossed and run.alarm_s < NEVER_S else None,
                "n_false": run.n_false,
                "errors": run.errors.round(1).tolist(),
            }
            for run in runs
        ],
    }
    return Section("Forecast", text, data)

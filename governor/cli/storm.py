"""``governor storm``: what a storm tells a person, a file and a CI.

*Rule of this file*: words in and out. The work is :mod:`governor.load`'s: flags are
read there, processes run there, figures come from there. Exit code 0: done and no
threshold missed; 1: a threshold missed; 2: bad input, or the target cannot be used.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from governor.cli.results import unwritable
from governor.errors import ConfigError, Problem
from governor.load import page
from governor.load.children import ChildError
from governor.load.figures import Figures
from governor.load.storm import Outcome, play, probe
from governor.load.words import DRAIN_S, Storm, Words
from governor.load.words_reader import read_words

OK, MISSED, BAD = 0, 1, 2
LATE_S = 0.05
"""A generator later than this (p99) measures itself: tasks are timed from when they were due."""
BUSY_RATIO = 0.9

Row = tuple[str, str, float, str]
"""Label, figure, factor, format."""

ROWS: tuple[Row, ...] = (
    ("tasks", "tasks", 1, "{:,.0f}"),
    ("succeeded", "success_ratio", 100, "{:.2f} %"),
    ("failed", "failed", 1, "{:,.0f}"),
    ("open at the end", "unfinished", 1, "{:,.0f}"),
    ("attempts a task", "attempts_per_task", 1, "{:.2f}"),
    ("offered", "offered_hz", 1, "{:,.1f}/s"),
    ("goodput", "goodput_hz", 1, "{:,.1f}/s"),
    ("task time p50", "task_p50_s", 1000, "{:,.0f} ms"),
    ("task time p99", "task_p99_s", 1000, "{:,.0f} ms"),
    ("task time max", "task_max_s", 1000, "{:,.0f} ms"),
    ("first byte p50", "first_byte_p50_s", 1000, "{:,.0f} ms"),
    ("first byte p99", "first_byte_p99_s", 1000, "{:,.0f} ms"),
    ("refusals (429, 503)", "refusals", 1, "{:,.0f}"),
    ("time-outs", "timeouts", 1, "{:,.0f}"),
    ("broken connections", "broken", 1, "{:,.0f}"),
    ("service time wasted", "waste_ratio", 100, "{:.1f} %"),
    ("generator late p99", "late_p99_s", 1000, "{:.1f} ms"),
)
GROUP_ROWS = ("success_ratio", "attempts_per_task", "goodput_hz", "task_p50_s", "task_p99_s")


def run(words: Words, json_file: Path | None, report_file: Path | None, command: str) -> int:
    """Run a storm; return the exit code.

    Parameters
    ----------
    words : Words
        The flags.
    json_file, report_file : Path or None
        Where the figures and the HTML report go.
    command : str
        What was typed, without secrets.
    """
    try:
        storm = read_words(with_body(words))
        check_files(json_file, report_file)
        notes = check_targets(storm)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return BAD
    console = Console(stderr=True, highlight=False)
    console.print("\n".join(describe(storm)), markup=False, soft_wrap=True)
    try:
        with live(console, storm) as shown:
            outcome = play(storm, shown.on_turn, shown.on_progress)
    except ChildError as error:
        print(f"storm: {error}", file=sys.stderr)
        return BAD
    sides = outcome.figures(storm.seconds)
    if not sides:
        print("storm: ended before anything was measured", file=sys.stderr)
        return BAD
    notes += notes_of(sides, outcome)
    missed, verdicts = judge(storm, sides)
    show(Console(highlight=False), sides, [*notes, *verdicts])
    if json_file is not None:
        json_file.write_bytes(as_json(storm, sides, notes, verdicts, command))
    if report_file is not None:
        lines = [command, *describe(storm), *notes, *verdicts]
        rows = [["", *sides], *table_rows(sides)]
        text = page.page("governor storm", lines, rows, sides, storm.parsed_faults, storm.seconds)
        report_file.write_text(text, encoding="utf-8")
    return MISSED if missed else OK


def with_body(words: Words) -> Words:
    """Return the words with the body that ``@FILE`` names.

    Raises
    ------
    ConfigError
        If the file cannot be read.
    """
    if words.body is None or not words.body.startswith("@"):
        return words
    try:
        text = Path(words.body[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot be read: {error}; give @FILE with text in it, or the text"
        raise ConfigError(Problem("--body", "", "", message)) from None
    return dataclasses.replace(words, body=text)


def check_files(json_file: Path | None, report_file: Path | None) -> None:
    """Raise a ConfigError if a result could not be written, before anything runs."""
    problems = [*unwritable({"--json": json_file, "--report": report_file})]
    if report_file is not None and not page.is_available():
        message = "needs plotly for its plots: pip install plotly; --json needs nothing"
        problems.append(Problem("--report", "", "", message))
    if problems:
        raise ConfigError(*problems)


def check_targets(storm: Storm) -> list[str]:
    """Call every target once as each client would; return notes.

    Raises
    ------
    ConfigError
        If one cannot be used.
    """
    notes: list[str] = []
    problems: list[Problem] = []
    asked: set[tuple[str, str, str]] = set()
    for side in storm.sides:
        flag = "--compare" if side.name == "compare" else "--target"
        for group in storm.groups:
            if (side.url, group.method, group.path) in asked:
                continue
            asked.add((side.url, group.method, group.path))
            call = f"{group.method or 'POST'} {urlsplit(side.url).path}{group.path}"
            try:
                status = asyncio.run(probe(side.url, group))
            except OSError as error:
                reason = "no connection in time" if isinstance(error, TimeoutError) else str(error)
                message = f"cannot be connected to ({reason}): is the service running?"
                problems.append(Problem(flag, "", side.url, message))
                break
            fault, note = _judge_probe(status, call)
            if fault:
                problems.append(Problem(flag, "", side.url, fault))
            if note:
                notes.append(note)
    if problems:
        raise ConfigError(*problems)
    return notes


def _judge_probe(status: int, call: str) -> tuple[str, str]:
    """Return (what forbids the run, what is worth a note); empty for neither."""
    if 200 <= status < 300:
        return "", ""
    if status == 0:
        return f"gave no answer to {call} within 10 s: is this the right address?", ""
    if status in (401, 403):
        return f"answers {status} to {call}: give a key with --key or --header", ""
    if status == 429 or (status >= 500 and status != 501):  # in trouble; 501: no such method
        return "", f"Before the run, {call} was answered {status}."
    return (
        f"answers {status} to {call}: choose another request with --path, --method, --body "
        "or --client",
        "",
    )


def describe(storm: Storm) -> Iterator[str]:
    """Yield lines that say what will be done."""
    n_agents = sum(group.n_agents for group in storm.groups)
    names = ", ".join(dict.fromkeys(group.client for group in storm.groups))
    shapes = ", ".join(dict.fromkeys(type(g.shape).__name__.lower() for g in storm.groups))
    yield f"{n_agents:,} agents ({names}; {shapes}), {storm.seconds:g} s, seed {storm.seed}."
    for side in storm.sides:
        behind = (
            " behind a Governor (its first start compiles, for minutes)" if side.is_governed else ""
        )
        yield f"  {side.name}: {side.url}{behind}"
    for fault in storm.parsed_faults:
        yield f"  fault: {fault.describe()}"
    if len(storm.sides) > 1 and not storm.at_once:
        yield f"  The sides take turns, {storm.rounds} each: about {storm.total_s:.0f} s of load."


class Live:
    """The progress bar."""

    def __init__(self, progress: Progress, storm: Storm) -> None:
        self._progress = progress
        self._storm = storm
        self._task = progress.add_task("", total=storm.seconds, stand="starting")

    def on_turn(self, number: int, name: str) -> None:
        """Begin a new bar."""
        rounds = f" {number + 1}/{self._storm.rounds}" if self._storm.rounds > 1 else ""
        self._progress.reset(self._task, description=f"{name}{rounds}", stand="starting")

    def on_progress(self, told: dict[str, Any]) -> None:
        """Move it."""
        stand = (
            f"{told['n_done']:,} of {told['n_tasks']:,} tasks done, {told['n_open']:,} open, "
            f"{told['n_attempts']:,} calls, {told['n_refused']:,} refused, {told['n_lost']:,} lost"
        )
        self._progress.update(
            self._task, completed=min(told["elapsed_s"], self._storm.seconds), stand=stand
        )


@contextlib.contextmanager
def live(console: Console, storm: Storm) -> Iterator[Live]:
    """Show progress on a terminal; nothing moves where there is none."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        TextColumn("{task.fields[stand]}"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield Live(progress, storm)


def notes_of(sides: dict[str, Figures], outcome: Outcome) -> list[str]:
    """Return what a reader must know to trust the figures, or not."""
    notes = list(outcome.notes)
    if outcome.is_interrupted:
        notes.append("Interrupted: the figures are of what had run.")
    late_s = max(side["late_p99_s"] for side in sides.values())
    busy = max(side["generator_cpu_ratio"] for side in sides.values())
    if late_s > LATE_S or busy > BUSY_RATIO:
        notes.append(
            f"The generator was late (p99 {late_s * 1000:.0f} ms, {busy:.0%} of a core): it, not "
            "the service, may be what these figures show. Use fewer agents or a quieter machine."
        )
    if any(side["is_cut"] for side in sides.values()):
        notes.append("A run was cut short: it had made as many calls as one run may.")
    for name, side in sides.items():
        if side["other_statuses"]:
            told = ", ".join(f"{count:,} × {s}" for s, count in side["other_statuses"].items())
            notes.append(f"Other answers of {name}: {told}.")
    return notes


def judge(storm: Storm, sides: dict[str, Figures]) -> tuple[bool, list[str]]:
    """Return whether a threshold was missed, and a line for each."""
    verdicts = []
    is_any_missed = False
    for threshold in storm.thresholds:
        for name in storm.sides_of(threshold):
            is_missed = threshold.is_missed(sides.get(name, {}))
            is_any_missed |= is_missed
            word = "MISSED" if is_missed else "met"
            value = sides.get(name, {}).get(threshold.figure)
            shown = "none" if value is None else f"{value:.4g}"
            verdicts.append(f"{word}: fail if {threshold.text}; {name} has {shown}")
    return is_any_missed, verdicts


def table_rows(sides: dict[str, Figures]) -> list[list[str]]:
    """Return label and one cell for each side."""
    rows = []
    for label, figure, factor, form in ROWS:
        values = [side.get(figure) for side in sides.values()]
        if any(value is not None for value in values):
            rows.append([label, *(_cell(value, factor, form) for value in values)])
    groups = next(iter(sides.values()))["groups"]
    if len(groups) > 1:
        for group in groups:
            rows.append([f"{group}:", *("" for _ in sides)])
            for label, figure, factor, form in ROWS:
                if figure in GROUP_ROWS:
                    values = [side["groups"][group].get(figure) for side in sides.values()]
                    rows.append([f"  {label}", *(_cell(v, factor, form) for v in values)])
    return rows


def _cell(value: float | None, factor: float, form: str) -> str:
    return "-" if value is None else form.format(value * factor)


def show(console: Console, sides: dict[str, Figures], lines: Sequence[str]) -> None:
    """Print the table, and what there is to say about it."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in sides:
        table.add_column(escape(name), justify="right")
    for row in table_rows(sides):
        table.add_row(*map(escape, row))
    console.print(table)
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def as_json(
    storm: Storm,
    sides: dict[str, Figures],
    notes: Sequence[str],
    verdicts: Sequence[str],
    command: str,
) -> bytes:
    """Return everything but secrets as JSON."""
    hidden = [dataclasses.replace(group, key="", headers=(), body=None) for group in storm.groups]
    plan = {
        "sides": [dataclasses.asdict(side) for side in storm.sides],
        "groups": [dataclasses.asdict(group) for group in hidden],
        "faults": storm.faults,
        "seconds": storm.seconds,
        "drain_s": DRAIN_S,
        "rounds": storm.rounds,
        "at_once": storm.at_once,
        "seed": storm.seed,
    }
    value = {
        "command": command,
        "at_unix_s": time.time(),
        "plan": plan,
        "sides": sides,
        "notes": list(notes),
        "thresholds": list(verdicts),
    }
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"

"""``governor replay`` and ``governor inspect``: what a file shows, and what else could have been.

*Rule of this file*: from a file's name to printed words. Gates are made by the same
:class:`~governor.runtime.Runtime` that serves, so that nothing is built twice.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from governor.cli.results import unwritable
from governor.config.load import load
from governor.config.model import Config
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.errors import ConfigError, Problem
from governor.record.calls import Demand, Fate, demand_of
from governor.record.configuration import unpack_config
from governor.record.events import REASONS
from governor.record.page import draw_html, draw_png, has
from governor.record.readers import READERS, guess
from governor.record.readers.base import Problems
from governor.record.replay import Replayed, make_places, replay
from governor.record.store import MAGIC, Recording, RecordingError, read
from governor.record.summary import summarise, summarise_trace
from governor.record.trace import Trace
from governor.record.whatif import Model
from governor.runtime import GC_THRESHOLD, Runtime
from policies.decision import Action

MODEL_WORDS = (
    "Modelled: each call holds one of as many slots as were seen in flight for as long as it was "
    "recorded to; callers come back as they were recorded to. Compare modelled with modelled."
)


def make_gates(config: Config) -> tuple[list[Gate], Identities]:
    """Return new gates as a running Governor would have them."""
    plain = config.model_copy(
        update={
            "access_log": config.access_log.model_copy(update={"mode": "off"}),
            "recorder": config.recorder.model_copy(update={"mode": "off"}),
        }
    )
    runtime = Runtime(plain)
    return list(runtime.gates.values()), runtime.identities


def replay_file(
    file: Path, config_file: Path | None, form: str | None, n_slots: int | None = None
) -> int:
    """Replay a recording, or a trace in a public format; return the exit code."""
    if form is None and _is_recording(file):
        return _replay_recording(read(file), config_file, n_slots)
    return _replay_trace(file, config_file, form, n_slots)


def _is_recording(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(MAGIC)) == MAGIC


def _replay_recording(recording: Recording, config_file: Path | None, n_slots: int | None) -> int:
    own = unpack_config(recording.header["config"])
    gates, identities = make_gates(own)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)
    began = time.perf_counter()
    found = replay(recording, gates, identities)
    took_s = time.perf_counter() - began
    for line in _tell_replay(recording, found, took_s):
        print(line)
    demand = _narrow(demand_of(recording), n_slots)
    fates = {"recorded": demand.fate, "modelled, same configuration": _model(demand, own)}
    if config_file is not None:
        other = _match(load(config_file), recording)
        fates[f"modelled, {config_file.name}"] = _model(demand, other)
    observe = own.model_copy(update={"policies": own.policies.model_copy(update=_OBSERVE)})
    fates["modelled, ungoverned"] = _model(demand, observe)
    _print_fates(fates)
    print(MODEL_WORDS)
    return 0 if not recording.is_whole or not found.n_different else 1


def _narrow(demand: Demand, n_slots: int | None) -> Demand:
    """Return the same against services of so many slots."""
    if n_slots is not None:
        demand.n_slots = [n_slots] * len(demand.n_slots)
    return demand


def _choose(file: Path, form: str | None) -> str:
    form = form or guess(file)
    if form not in READERS:
        message = f"must be one of {', '.join(READERS)}"
        raise ConfigError(Problem("--format", "", form, message))
    return form


_OBSERVE = {"mode": "observe"}


def _replay_trace(
    file: Path, config_file: Path | None, form: str | None, n_slots: int | None
) -> int:
    form = _choose(file, form)
    problems = Problems(file.name)
    trace = Trace(READERS[form](file, problems))
    demand = trace.demand()
    print(f"{file.name}: {len(trace):,} calls ({form}), {demand.n_slots[0]} at most at once")
    _print_problems(problems)
    if trace.n_left_out:
        print(f"{trace.n_left_out:,} further calls are left out: no more than that are read")
    if not len(trace):
        print(
            f"Nothing to play in {file.name}, read as {form}: name its format with --format "
            f"({', '.join(READERS)}), or give another file.",
            file=sys.stderr,
        )
        return 1
    demand = _narrow(demand, n_slots)
    config = load(config_file) if config_file else Config.single("http://127.0.0.1:1", admin=None)
    observe = config.model_copy(update={"policies": config.policies.model_copy(update=_OBSERVE)})
    name = config_file.name if config_file else "default configuration"
    began = time.perf_counter()
    governed = _model(demand, config)
    took_s = time.perf_counter() - began
    _print_fates({f"modelled, {name}": governed, "modelled, ungoverned": _model(demand, observe)})
    print(
        f"{governed.n_arrivals:,} arrivals in {took_s:.2f} s: {governed.n_arrivals / took_s:,.0f}/s"
    )
    print(MODEL_WORDS)
    return 0


def _print_problems(problems: Problems) -> None:
    if problems.n_bad:
        print(f"{problems.n_bad:,} lines could not be read, as:")
        print("\n".join(f"  {line}" for line in problems.shown))


def _match(config: Config, recording: Recording) -> Config:
    """Return a configuration whose upstreams stand in the recording's order."""
    names = recording.upstreams
    upstreams = dict(config.upstreams)
    if len(names) == 1 and len(upstreams) == 1:
        return config
    missing = [name for name in names if name not in upstreams]
    if missing:
        raise RecordingError(f"the configuration has no upstream {', '.join(missing)}")
    ordered = {name: upstreams[name] for name in names} | upstreams
    return config.model_copy(update={"upstreams": ordered})


def _model(demand: Demand, config: Config) -> Fate:
    gates, identities = make_gates(config)
    make_places(identities, *demand.places)
    spare = len(gates) - len(demand.n_slots)
    n_slots = [*demand.n_slots, *([demand.n_slots[0]] * spare)]
    whole = Demand(demand.tasks, n_slots, None, demand.is_single)
    return Model(whole, gates).run()


def _tell_replay(recording: Recording, found: Replayed, took_s: float) -> Sequence[str]:
    rate = found.n_arrivals / max(took_s, 1e-9)
    lines = [
        f"replayed {found.n_arrivals:,} arrivals ({found.n_events:,} records) in {took_s:.2f} s: "
        f"{rate:,.0f} arrivals/s"
    ]
    if not found.n_different:
        lines.append(f"all {found.n_decisions:,} decisions are as recorded")
    else:
        n_same = found.n_decisions - found.n_different
        lines.append(f"{n_same:,} of {found.n_decisions:,} decisions are as recorded")
    if recording.n_bytes_skipped or recording.n_lost:
        lines.append(_tell_damage(recording))
    if not recording.is_whole:
        lines.append("the recording does not begin with its process: agreement cannot be exact")
    by_reason: Counter[str] = Counter()
    for (action, reason), n in found.replayed.items():
        by_reason[f"{Action(action).name.lower()} {REASONS[reason]}"] += n
    return [*lines, *(f"  {n:10,}  {what}" for what, n in by_reason.most_common())]


def _tell_damage(recording: Recording) -> str:
    return (
        f"the file is cut off or damaged: {recording.n_bytes_skipped:,} bytes were skipped, "
        f"{recording.n_lost:,} records are missing in between; all others are here"
    )


_FATE_ROWS = {
    "tasks": "n_tasks",
    "calls": "n_arrivals",
    "calls completed": "n_done",
    "held": "n_held",
    "answered by Governor": "n_answered",
    "failed or refused": "n_failed",
    "callers left": "n_left",
    "waited, s": "waited_s",
    "service time useful, s": "useful_s",
    "service time wasted, s": "wasted_s",
}


def _print_fates(fates: dict[str, Fate | None]) -> None:
    from rich.console import Console
    from rich.table import Table

    known = {name: fate for name, fate in fates.items() if fate is not None}
    drawn = Table("", *known)
    for column in drawn.columns[1:]:
        column.justify = "right"
    for words, name in _FATE_ROWS.items():
        values = [getattr(fate, name) for fate in known.values()]
        drawn.add_row(words, *(f"{x:,.1f}" if isinstance(x, float) else f"{x:,}" for x in values))
    drawn.add_row("wasted share", *(f"{fate.wasted_share:.1%}" for fate in known.values()))
    Console().print(drawn)


def inspect_file(file: Path, page: Path | None, png: Path | None, form: str | None = None) -> int:
    """Print what a recording or a trace shows, and draw it; return the exit code.

    Raises
    ------
    ConfigError
        If a picture could not be written.
    """
    faults = [*unwritable({"--html": page, "--png": png})]
    if faults:
        raise ConfigError(*faults)
    if form is None and _is_recording(file):
        recording = read(file)
        title, summary = f"Recording {file.name}", summarise(recording)
        if recording.n_bytes_skipped or recording.n_lost:
            print(_tell_damage(recording))
    else:
        problems = Problems(file.name)
        form = _choose(file, form)
        title = f"{file.name} ({form})"
        summary = summarise_trace(Trace(READERS[form](file, problems)), problems)
        _print_problems(problems)
    width = max(len(name) for name, _ in summary.rows)
    for name, value in summary.rows:
        print(f"{name:{width}}  {value}")
    for action, reason, n in summary.decisions:
        print(f"  {n:10,}  {action} {reason}")
    if not summary.series:
        return 1
    status = 0
    for path, module, draw in ((page, "plotly", draw_html), (png, "matplotlib", draw_png)):
        if path is None:
            continue
        if has(module):
            draw(summary, title, path)
            print(f"drawn: {path}")
        else:
            print(f"{path} is not drawn: {module} is not installed (pip install {module})")
            status = 1
    return status

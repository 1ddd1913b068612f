"""``governor replay`` and ``governor inspect``: what a file shows, and what else could have been.

*Rule of this file*: from a file's name to printed words. Gates are made by the same
:class:`~governor.runtime.Runtime` that serves, so that nothing is built twice.
"""

from __future__ import annotations

import gc
import sys
import time
import zlib
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
from governor.record.readers import READERS, demand_of_rows, guess
from governor.record.readers.base import Problems
from governor.record.replay import Replayed, make_places, replay
from governor.record.store import MAGIC, Recording, RecordingError, read
from governor.record.summary import summarise
from governor.record.whatif import Model
from governor.runtime import Runtime
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


def replay_file(file: Path, config_file: Path | None, form: str | None) -> int:
    """Replay a recording, or a trace in a public format; return the exit code."""
    with file.open("rb") as opened:
        is_recording = form is None and opened.read(len(MAGIC)) == MAGIC
    if is_recording:
        return _replay_recording(read(file), config_file)
    return _replay_trace(file, config_file, form)


def _replay_recording(recording: Recording, config_file: Path | None) -> int:
    own = unpack_config(recording.header["config"])
    gates, identities = make_gates(own)
    gc.collect()
    gc.freeze()
    began = time.perf_counter()
    found = replay(recording, gates, identities)
    took_s = time.perf_counter() - began
    for line in _tell_replay(recording, found, took_s):
        print(line)
    demand = demand_of(recording)
    fates = {"recorded": demand.fate, "modelled, same configuration": _model(demand, own)}
    if config_file is not None:
        other = _match(load(config_file), recording)
        fates[f"modelled, {config_file.name}"] = _model(demand, other)
    observe = own.model_copy(update={"policies": own.policies.model_copy(update=_OBSERVE)})
    fates["modelled, ungoverned"] = _model(demand, observe)
    _print_fates(fates)
    print(MODEL_WORDS)
    return 0 if not recording.is_whole or not found.n_different else 1


_OBSERVE = {"mode": "observe"}


def _read_trace(file: Path, form: str, problems: Problems) -> Demand:
    if form not in READERS:
        message = f"must be one of {', '.join(READERS)}"
        raise ConfigError(Problem("--format", "", form, message))
    return demand_of_rows(READERS[form](file, problems))


def _replay_trace(file: Path, config_file: Path | None, form: str | None) -> int:
    problems = Problems(file.name)
    try:
        form = form or guess(file)
        demand = _read_trace(file, form, problems)
    except (EOFError, OSError, zlib.error) as exc:  # above all .gz that is none, or cut off
        raise RecordingError(f"{file.name} cannot be read to its end: {exc}") from exc
    print(f"{file.name}: {len(demand.tasks):,} calls ({form}), {demand.n_slots[0]} at most at once")
    if problems.n_bad:
        print(f"{problems.n_bad:,} lines could not be read, as:")
        print("\n".join(f"  {line}" for line in problems.shown))
    if not demand.tasks:
        print(
            f"Nothing to play in {file.name}, read as {form}: name its format with --format "
            f"({', '.join(READERS)}), or give another file.",
            file=sys.stderr,
        )
        return 1
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


def _match(config: Config, recording: Recording) -> Config:
    """Return a configuration whose upstreams stand in the recording's order."""
    names = recording.upstreams
    upstreams = dict(config.upstreams)
    if len(names) == 1 and len(upstreams) == 1:
        return config
    missing = [name for name in names if name not in upstreams]
    if missing:
        raise RecordingError(f"the configuration has no upstream {', '.join(missing)}")
    ordered = {name: upstreams[name] for name in (*names, *(set(upstreams) - {*names}))}
    return config.model_copy(update={"upstreams": ordered})


def _model(demand: Demand, config: Config) -> Fate:
    gates, identities = make_gates(config)
    arrivals = [task.arrival for task in demand.tasks]
    make_places(
        identities,
        max((x.tenant for x in arrivals), default=0),
        max((max(x.flow, x.parent_flow) for x in arrivals), default=0),
        max((x.tree for x in arrivals), default=0),
    )
    spare = len(gates) - len(demand.n_slots)
    whole = Demand(demand.tasks, [*demand.n_slots, *([demand.n_slots[0]] * spare)], None)
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
    if not recording.is_whole:
        lines.append("the recording does not begin with its process: agreement cannot be exact")
    by_reason: Counter[str] = Counter()
    for (action, reason), n in found.replayed.items():
        by_reason[f"{Action(action).name.lower()} {REASONS[reason]}"] += n
    return [*lines, *(f"  {n:10,}  {what}" for what, n in by_reason.most_common())]


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


def inspect_file(file: Path, page: Path | None, png: Path | None) -> int:
    """Print what a recording shows, and draw it; return the exit code.

    Raises
    ------
    ConfigError
        If a picture could not be written.
    """
    problems = [*unwritable({"--html": page, "--png": png})]
    if problems:
        raise ConfigError(*problems)
    recording = read(file)
    summary = summarise(recording)
    width = max(len(name) for name, _ in summary.rows)
    for name, value in summary.rows:
        print(f"{name:{width}}  {value}")
    print("\n".join(f"  {n:10,}  {action} {reason}" for action, reason, n in summary.decisions))
    status = 0
    for path, module, draw in ((page, "plotly", draw_html), (png, "matplotlib", draw_png)):
        if path is None:
            continue
        if has(module):
            draw(summary, f"Recording {file.name}", path)
            print(f"drawn: {path}")
        else:
            print(f"{path} is not drawn: {module} is not installed (pip install {module})")
            status = 1
    return status

"""Recorded organic traffic as arrays: when, whose, which tree, for how long.

*Rule of this file*: reading and reshaping of traces. Nothing is played here
and nothing is written; a trace stays where it lies. Where it is absent the
answer is None, and the section says "trace not present".

*Variants*: each organic trace comes in the form that the study of detection
used. ``mooncake`` and ``nasa`` have coarse clocks (3 s and 1 s): the plain
name is the de-quantised form (spread evenly inside the stamp, seeded), the
``-raw`` name the recording as it is, for the coarse-clock guard. ``nezha``
recordings have holes without data, which are not silence: gaps above
``HOLE_S`` are closed to the recording's mean gap; ``nezha0822`` and
``nezha0129`` are the root calls, ``-calls`` all calls between services.

*Speed*: :meth:`Trace.at_speed` divides instants and latencies, so the
recording is played faster and its concurrency stays.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ENVIRONMENT = "GOVERNOR_TRACES"
DEFAULT_FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "traces"

HOLE_S = 3.0
"""A longer gap in a Nezha recording is a missing file, not silence."""

JITTER_SEED = 20_250_225
"""Of the spread inside a coarse stamp."""

TOKENS_PER_S, FIRST_TOKEN_S = 50.0, 0.5
"""Latency where a recording has only the size of a reply: an LLM of ordinary speed."""


@dataclass(frozen=True)
class Trace:
    """One recording, in order of time.

    Attributes
    ----------
    name : str
    t_s : float64 array
        Instants, the first at 0.
    flow, tree : int64 array
        Small integers from 1; 0 where the recording has no identity.
    fingerprint : int64 array
        Shape of the request: input size or target.
    latency_s : float64 array
        NaN where the recording tells nothing.
    status : int64 array
        HTTP status; 200 where the recording tells nothing.
    target : int64 array
        Index into ``services``; 0 where there is only one.
    services : tuple of str
    """

    name: str
    t_s: Floats
    flow: Ints
    tree: Ints
    fingerprint: Ints
    latency_s: Floats
    status: Ints
    target: Ints
    services: tuple[str, ...] = ("",)

    def __len__(self) -> int:
        return len(self.t_s)

    @property
    def hours(self) -> float:
        """Length of the recording in hours, holes closed."""
        return float(self.t_s[-1]) / 3600.0 if len(self.t_s) else 0.0

    @property
    def rate_hz(self) -> float:
        """Mean calls per second."""
        return len(self.t_s) / float(self.t_s[-1])

    @property
    def has_ids(self) -> bool:
        """Whether the recording names its callers."""
        return bool((self.flow > 0).any())

    def at_speed(self, factor: float) -> Trace:
        """Return the recording played faster."""
        return replace(self, t_s=self.t_s / factor, latency_s=self.latency_s / factor)

    def with_identity(self, kind: str) -> Trace:
        """Return the calls under other names.

        Parameters
        ----------
        kind : str
            ``ids``: as recorded. ``own``: each call its own caller. ``none``: all
            unknown (flow 0). A number: that many callers, drawn at random.
        """
        n = len(self.t_s)
        if kind == "ids":
            return self
        if kind == "own":
            flow = np.arange(1, n + 1, dtype=np.int64)
        elif kind == "none":
            flow = np.zeros(n, np.int64)
        else:
            flow = np.random.default_rng(JITTER_SEED).integers(1, int(kind) + 1, n)
        return replace(self, flow=flow, tree=flow.copy())

    def between(self, start_s: float, stop_s: float) -> Trace:
        """Return the calls of [start, stop), the window's start at 0."""
        low, high = np.searchsorted(self.t_s, [start_s, stop_s])
        return self.at(np.arange(low, high), start_s)

    def at(self, index: npt.NDArray[Any], origin_s: float = 0.0) -> Trace:
        """Return the calls of an index or mask."""
        return replace(
            self,
            t_s=self.t_s[index] - origin_s,
            flow=self.flow[index],
            tree=self.tree[index],
            fingerprint=self.fingerprint[index],
            latency_s=self.latency_s[index],
            status=self.status[index],
            target=self.target[index],
        )


def find_folder(option: Path | None = None) -> Path | None:
    """Return the folder of traces: the option, else the environment's, else the neighbour's."""
    named = option or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
    folder = named or DEFAULT_FOLDER
    return folder if folder.is_dir() else None


# -- reading --------------------------------------------------------------------


def columns_of(path: Path) -> dict[str, list[str]]:
    """Return the columns of a gzipped CSV file by name."""
    with gzip.open(path, "rt", newline="") as text:
        reader = csv.reader(text)
        head = next(reader)
        rows = list(zip(*reader, strict=True))
    return {name: list(column) for name, column in zip(head, rows, strict=True)}


def as_floats(column: list[str], missing: float = float("nan")) -> Floats:
    """Turn text into numbers."""
    return np.array([float(x) if x else missing for x in column])


def as_codes(column: list[str]) -> tuple[Ints, tuple[str, ...]]:
    """Number the values from 1 by first appearance; 0 for empty ones."""
    known: dict[str, int] = {"": 0}
    codes = np.array([known.setdefault(x, len(known)) for x in column], np.int64)
    return codes, tuple(known)


def read(path: Path, name: str, time_column: str = "t_s") -> Trace:
    """Read one file in the traces' common format."""
    columns = columns_of(path)
    t_s = as_floats(columns[time_column])
    flow, _ = as_codes(columns["agent"])
    tree, _ = as_codes(columns["session"])
    if not flow.any():
        flow = tree
    elif not tree.any():
        tree = flow
    n = len(t_s)
    target, services = as_codes(columns["target"]) if "target" in columns else (None, ("",))
    if target is None:
        target = np.zeros(n, np.int64)
    in_size = as_floats(columns["in_size"], -1.0).astype(np.int64)
    latency_s = as_floats(columns["latency_s"])
    out_size = as_floats(columns["out_size"])
    estimate_s = FIRST_TOKEN_S + out_size / TOKENS_PER_S
    if not services[1:]:  # an LLM's trace: the reply's size is in tokens
        latency_s = np.where(np.isnan(latency_s), estimate_s, latency_s)
    status = as_floats(columns["status"], 200.0).astype(np.int64)
    trace = Trace(
        name,
        t_s,
        flow,
        tree,
        in_size * 100_003 + target,
        latency_s,
        status,
        target,
        services,
    )
    order = np.argsort(t_s, kind="stable")
    return trace.at(order, float(t_s[order[0]]))


# -- reshaping ------------------------------------------------------------------


def spread(trace: Trace, stamp_s: float) -> Trace:
    """Return a coarse clock's calls spread evenly inside their stamps, seeded."""
    rng = np.random.default_rng(JITTER_SEED)
    t_s = trace.t_s + rng.uniform(0.0, stamp_s, len(trace))
    order = np.argsort(t_s, kind="stable")
    return replace(trace, t_s=t_s).at(order, float(t_s[order[0]]))


def close_holes(trace: Trace) -> Trace:
    """Return a recording whose gaps above ``HOLE_S`` are as long as its mean gap."""
    gaps_s = np.diff(trace.t_s, prepend=trace.t_s[0])
    is_hole = gaps_s > HOLE_S
    gaps_s[is_hole] = gaps_s[~is_hole].mean()
    return replace(trace, t_s=np.cumsum(gaps_s))


def nezha_calls(folder: Path, file: str, name: str) -> Trace:
    """Return all calls between services; flow and tree are the recorded trace."""
    trace = close_holes(read(folder / file, name))
    return replace(trace, flow=trace.tree.copy())


def nezha_roots(folder: Path, file: str, name: str) -> Trace:
    """Return the calls from outside only: each its own caller."""
    columns = columns_of(folder / file)
    t_s = as_floats(columns["t_s"])
    is_root = np.array([not agent for agent in columns["agent"]])
    is_root = is_root[np.argsort(t_s, kind="stable")]
    return nezha_calls(folder, file, name).at(is_root)


FILES = {
    "claude": "claude_code_fleet_6h.csv.gz",
    "azure": "azure_llm_conv_2023.csv.gz",
    "mooncake": "mooncake_conversation.csv.gz",
    "nasa": "nasa_http_1995-08-01.csv.gz",
    "servegen": "servegen_deepseek-r1_6h_synth.csv.gz",
    "nezha0822": "nezha_onlineboutique_0822.csv.gz",
    "nezha0129": "nezha_trainticket_0129.csv.gz",
}

LOADERS: dict[str, tuple[str, Callable[[Path, str, str], Trace]]] = {
    "claude": ("claude", lambda d, f, n: read(d / f, n)),
    "azure": ("azure", lambda d, f, n: read(d / f, n)),
    "mooncake": ("mooncake", lambda d, f, n: read(d / f, n, "t_dequant_s")),
    "mooncake-raw": ("mooncake", lambda d, f, n: read(d / f, n)),
    "nasa": ("nasa", lambda d, f, n: spread(read(d / f, n), 1.0)),
    "nasa-raw": ("nasa", lambda d, f, n: read(d / f, n)),
    "servegen": ("servegen", lambda d, f, n: read(d / f, n)),
    "nezha0822": ("nezha0822", nezha_roots),
    "nezha0822-calls": ("nezha0822", nezha_calls),
    "nezha0129": ("nezha0129", nezha_roots),
    "nezha0129-calls": ("nezha0129", nezha_calls),
}
"""Name of a variant: its file and how it is made."""

ORGANIC = ("claude", "azure", "mooncake", "nasa", "servegen", "nezha0822", "nezha0129")
"""The organic traces with a fine clock: one form of each recording."""

COARSE = ("mooncake-raw", "nasa-raw")
"""Recordings on a clock of whole seconds."""


@lru_cache(maxsize=16)
def load(folder: Path | None, name: str) -> Trace | None:
    """Return one trace by its variant's name; None if it is not there."""
    file, make = LOADERS[name]
    if folder is None or not (folder / FILES[file]).exists():
        return None
    return make(folder, FILES[file], name)

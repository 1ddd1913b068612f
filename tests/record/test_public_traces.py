"""Public traces where they are (GOVERNOR_TRACES names their folder): read, inspected, played.

No trace is part of the project; at most some thousand lines of each are read here.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import pytest

from governor.cli.replay_command import make_gates
from governor.config.model import Config
from governor.record.readers import READERS, guess
from governor.record.readers.base import Problems
from governor.record.replay import make_places
from governor.record.store import RecordingError
from governor.record.summary import summarise_trace
from governor.record.trace import Trace
from governor.record.whatif import Model

FOLDER = Path(os.environ.get("GOVERNOR_TRACES", "/nonexistent"))
N_ROWS, N_PLAYED = 2_000, 100


@pytest.mark.skipif(not FOLDER.is_dir(), reason="GOVERNOR_TRACES names no folder")
def test_traces_are_read_inspected_and_played() -> None:
    """Each file of a known form gives calls in order; whoever is played is served once."""
    read = []
    for path in sorted(FOLDER.iterdir()):
        if not path.is_file() or path.suffix == ".md":
            continue
        try:
            form = guess(path)
        except RecordingError:
            continue  # not of calls: faults, coverage, parameters
        problems = Problems(path.name)
        trace = Trace(islice(READERS[form](path, problems), N_ROWS))
        if problems.n_bad > len(trace):
            continue  # a table with another meaning of its columns
        assert problems.n_bad == 0, problems.shown
        assert min(trace.at_ns[1:] - trace.at_ns[:-1]) >= 0
        summary = summarise_trace(trace, problems)
        assert summary.rows[0] == ("calls", f"{len(trace):,}")
        assert summary.series
        read.append((path.name, form, len(trace)))
    assert len(read) >= 3, read


@pytest.mark.skipif(not FOLDER.is_dir(), reason="GOVERNOR_TRACES names no folder")
def test_a_trace_that_fits_is_not_touched() -> None:
    """Against a service of as many slots as were open at once nobody is held or refused."""
    path = next(path for path in sorted(FOLDER.iterdir()) if "azure" in path.name.lower())
    trace = Trace(islice(READERS[guess(path)](path, Problems(path.name)), N_PLAYED))
    gates, identities = make_gates(Config.single("http://127.0.0.1:1", admin=None))
    demand = trace.demand()
    make_places(identities, *demand.places)
    fate = Model(demand, gates).run()
    assert (fate.n_done, fate.n_held, fate.n_answered) == (len(trace), 0, 0)
    assert fate.useful_s == pytest.approx(float(trace.held_ns.sum()) / 1e9)

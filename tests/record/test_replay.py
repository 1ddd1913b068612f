"""Replay: the same events through new gates give the same decisions, or it is told where not."""

from __future__ import annotations

from pathlib import Path

import pytest

from governor.record.configuration import pack_config, unpack_config
from governor.record.events import REASONS, Kind
from governor.record.replay import replay
from governor.record.store import Recording, encode_blocks, encode_header, read
from governor.runtime import Runtime
from tests.record.traffic import Run, make_config


def record(run: Run, path: Path) -> Recording:
    """Return what a file holds that a run was written to."""
    first, events = run.tap.ring.since(0)
    packed = pack_config(run.runtime.config)
    path.write_bytes(encode_header(packed, 7, 0, 0, first) + b"".join(encode_blocks(first, events)))
    return read(path)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A run with a storm in it, in a file."""
    run = Run(make_config())
    run.play(12.0, 250.0)
    assert run.tap.n_faults == 0
    return record(run, tmp_path_factory.mktemp("rec") / "a.rec")


def test_a_run_with_a_storm_replays_exactly(recording: Recording) -> None:
    """Same configuration, same events: every action, reason, delay and endpoint is the same."""
    again = Runtime(unpack_config(recording.header["config"]))
    found = replay(recording, list(again.gates.values()), again.identities)
    assert recording.is_whole
    assert found.differences == ()
    assert (found.n_different, found.n_faults) == (0, 0)
    reasons = {REASONS[reason] for _, reason in found.replayed}
    assert {"untouched", "exempt", "over_limit", "capacity_freed", "absorbed"} <= reasons
    kinds = set(recording.events["kind"].tolist())
    wanted = set(Kind) - {Kind.MEMBER, Kind.HANDOVER}
    assert wanted <= kinds


def test_another_configuration_is_told_apart(recording: Recording) -> None:
    """Gates with another limit decide otherwise, and each difference is counted."""
    packed = recording.header["config"]
    other = unpack_config(
        {**packed, "upstreams": {k: {**v, "limit": 3} for k, v in packed["upstreams"].items()}}
    )
    again = Runtime(other)
    found = replay(recording, list(again.gates.values()), again.identities)
    assert found.n_different > 100
    assert len(found.differences) == 20

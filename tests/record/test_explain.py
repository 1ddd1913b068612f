"""The life of one request: found by its id, told in order, its parts measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from governor.cli.control_port import NotThere
from governor.cli.explain_command import explain, words
from governor.control.explain import describe_life
from governor.core.arrival import Arrival
from governor.record.explain import find_life
from governor.record.recorder import Recorder
from policies.decision import Action, Outcome
from tests.control.stub import StubRuntime
from tests.record.traffic import MS, Owner, make_config

NOBODY = "http://127.0.0.1:1"


def make_recorded(path: Path) -> tuple[StubRuntime, Recorder]:
    """Return a runtime of one place: request-1 is served, request-2 waits 20 ms for it."""
    runtime = StubRuntime()
    config = make_config({"mode": "storm", "file": str(path)})
    config = config.model_copy(update={"upstreams": {"tools": config.upstreams["tools"]}})
    recorder = Recorder(config, runtime.gates, runtime.identities)
    gate = runtime.gates["tools"]
    one, two = (runtime.identities.flows.index(key, 0) for key in (11, 12))
    first = gate.arrive(0, Arrival(flow=one), Owner(1))
    second = gate.arrive(5 * MS, Arrival(flow=two, urgency=1, patience_ns=9_000 * MS), Owner(2))
    assert second.action is Action.WAIT
    (freed,) = gate.depart(25 * MS, first.lease, Outcome.COMPLETED, 200)
    gate.answered(30 * MS, freed.lease, 200)
    gate.depart(45 * MS, freed.lease, Outcome.COMPLETED, 200)
    return runtime, recorder


def test_a_life_is_told_from_arrival_to_end(tmp_path: Path) -> None:
    """What was read, each step with its reason, and how long each part took."""
    _, recorder = make_recorded(tmp_path / "a")
    life = recorder.life(b"request-2")
    assert life is not None
    assert life["upstream"] == "tools"
    assert (life["read"]["flow"], life["read"]["urgency"]) == (2, 1)
    assert life["read"]["patience_s"] == 9.0
    told = [(step["what"], step.get("reason", "")) for step in life["steps"]]
    assert told == [
        ("arrived", "over_limit"),
        ("decided", "capacity_freed"),
        ("first byte", ""),
        ("ended", ""),
    ]
    parts = {name: value and round(value, 6) for name, value in life["parts"].items()}
    assert parts == {
        "in_line_s": 0.020,
        "until_first_byte_s": 0.005,
        "streaming_s": 0.015,
        "total_s": 0.040,
    }


def test_an_unknown_id_has_no_life(tmp_path: Path) -> None:
    """Nothing is made up."""
    _, recorder = make_recorded(tmp_path / "a")
    assert recorder.life(b"request-9") is None
    empty = recorder.ring.since(1 << 30)[1]
    assert find_life(empty, b"request-1", 0, ("tools",)) is None


def test_the_page_joins_the_recording_and_the_decisions(tmp_path: Path) -> None:
    """With a recorder the whole life; without one only what was intervened in."""
    runtime, recorder = make_recorded(tmp_path / "a")
    runtime.recorder = recorder
    page = describe_life(runtime, "request-1", 0, 0)
    assert page["is_found"]
    assert page["life"]["steps"][0]["in_words"]
    runtime = StubRuntime()
    runtime.intervene(1)
    page = describe_life(runtime, "request-2", 0, 0)
    assert (page["is_found"], page["life"], page["is_recording"]) == (True, None, False)
    assert "answer, line_full" in "\n".join(words(page))
    assert not describe_life(runtime, "request-99", 0, 0)["is_found"]


def test_what_a_decision_could_not_read_is_left_out(tmp_path: Path) -> None:
    """Without a storm there is no instant at which it crosses; the rest is told."""
    runtime, recorder = make_recorded(tmp_path / "a")
    runtime.recorder = recorder
    page = describe_life(runtime, "request-2", 0, 0)
    other = StubRuntime()
    other.intervene(1)
    page["decisions"] = describe_life(other, "request-2", 0, 0)["decisions"]
    assert page["decisions"][0]["readings"]["storm_crossing_s"] is None
    text = "\n".join(words(page))
    assert "line_full rested on: in_flight 1" in text
    assert "storm_crossing_s" not in text


async def test_a_file_tells_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`governor explain ID --file` needs no running Governor."""
    path = tmp_path / "a.rec"
    _, recorder = make_recorded(path)
    await recorder.dump()
    assert explain("request-2", NOBODY, path) == 0
    text = capsys.readouterr().out
    assert "wait, over_limit" in text
    assert "in line            20.0 ms" in text
    assert explain("request-9", NOBODY, path) == 1
    assert "nothing is known of request-9" in capsys.readouterr().err
    with pytest.raises(NotThere, match=r"http://127\.0\.0\.1:1.*\n.*--admin.*\n.*--file FILE"):
        explain("request-1", NOBODY, None)

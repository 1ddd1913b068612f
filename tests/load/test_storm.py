"""The order of a storm: turns, rest between them, what a child's trouble becomes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from governor.load import storm as subject
from governor.load.children import Child, ChildError
from governor.load.plan import Closed, Group
from governor.load.storm import Outcome, probe, turns
from governor.load.words import Words
from governor.load.words_reader import read_words
from tests.load.conftest import OK, Start

GROUP = Group("agents", 1, Closed(1.0))


def test_sides_take_turns_in_an_order_that_is_reversed() -> None:
    """A B, B A, A B: a drift of the machine meets both alike."""
    storm = read_words(Words(target="http://127.0.0.1:1", governed=True, rounds=3))
    order = [(number, sides[0].name) for number, sides in turns(storm)]
    assert order == [
        (0, "bare"),
        (0, "governed"),
        (1, "governed"),
        (1, "bare"),
        (2, "bare"),
        (2, "governed"),
    ]


def test_at_once_is_one_turn_for_all() -> None:
    """Both sides stand in the same turn."""
    words = Words(target="http://127.0.0.1:1", compare="http://127.0.0.1:2", at_once=True)
    ((number, sides),) = turns(read_words(words))
    assert (number, len(sides)) == (0, 2)


async def test_a_probe_tells_the_status(origin: Start, dead_url: str) -> None:
    """One call as the group makes it; nobody there is an OSError, silence is nought."""
    service = await origin(lambda _: OK)
    assert await probe(service.url, GROUP) == 200
    assert service.seen[0].target == "/v1/chat/completions"
    with pytest.raises(OSError, match=r".+"):
        await probe(dead_url, GROUP)
    service.answer = lambda _: None
    assert await probe(service.url, GROUP, 0.05) == 0


async def test_a_probe_of_a_stream_ends_with_its_first_byte(origin: Start) -> None:
    """A stream need not come to its end to be known to work."""
    service = await origin(lambda _: b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    assert await probe(service.url, Group("a", 1, Closed(1.0), is_stream=True)) == 200


async def test_a_service_that_does_not_rest_is_noted(
    origin: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run begins anyway, and the reader is told, once."""
    service = await origin(lambda _: None)
    storm = read_words(Words(target=service.url))
    monkeypatch.setattr(subject, "REST_S", 0.05)
    outcome = Outcome()
    for _ in range(2):
        await asyncio.to_thread(subject._rest, storm, storm.sides, outcome)
    assert len(outcome.notes) == 1
    service.answer = lambda _: OK
    outcome = Outcome()
    await asyncio.to_thread(subject._rest, storm, storm.sides, outcome)
    assert outcome.notes == []


def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    """Its own last words are in the error; nothing is left behind."""
    child = Child("the fleet", "governor.load", [str(tmp_path / "none"), str(tmp_path / "out")])
    try:
        with pytest.raises(ChildError, match=r"the fleet ended: .*none"):
            child.line(60.0)
        assert child.wait(5.0) == 2
    finally:
        child.stop()


def test_a_silent_child_is_not_waited_for_for_ever() -> None:
    """Silence has a bound, and stopping ends the process."""
    child = Child("the gate", "governor.load.gate_process", ["--target", "http://127.0.0.1:1"])
    try:
        assert child.line(60.0).startswith("gate http://127.0.0.1:")
        with pytest.raises(ChildError, match="said nothing"):
            child.line(0.05)
    finally:
        child.stop()
    assert child.wait(0.0) == 0


def test_a_tied_child_ends_with_its_parent() -> None:
    """A parent that is killed leaves no Governor behind."""
    code = (
        "import subprocess, sys, time\n"
        "words = [sys.executable, '-m', 'governor.load.tied', 'http.server', '0']\n"
        "child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    while not child.net_connections() and child.is_running():
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    child.wait(20)

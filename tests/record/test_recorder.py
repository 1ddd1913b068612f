"""When the recorder writes, how much stays on the disk, and what never gets there."""

from __future__ import annotations

import asyncio
import signal
import zlib
from pathlib import Path
from typing import Any

from governor.control.state import describe_runtime
from governor.record.events import Kind, make_events
from governor.record.recorder import CALM_NS, RecordFile
from governor.record.store import encode_header, read
from governor.runtime import Runtime
from governor.serving import serve
from tests.control.stub import StubRuntime
from tests.faults.world import World
from tests.record.traffic import MS, make_config

S = 1_000 * MS


def make_runtime(path: Path, mode: str) -> Runtime:
    """Return a runtime that records to ``path``."""
    recorder = {"mode": mode, "file": str(path), "memory": "1MiB", "size": "4MiB"}
    return Runtime(make_config(recorder))


def set_storm(runtime: Runtime, is_on: bool) -> None:
    """Raise the first upstream's storm alarm, or end it."""
    gate = next(iter(runtime.gates.values()))
    gate.signals.state.forecast[0]["storm"]["is_on"] = int(is_on)
    gate.rests = False  # none rests while its alarm is on


async def test_a_storm_writes_what_was_before_it_and_what_comes(tmp_path: Path) -> None:
    """Nothing is written until the alarm; then the ring, then more, until it is calm."""
    path = tmp_path / "a.rec"
    runtime = make_runtime(path, "storm")
    recorder = runtime.recorder
    assert recorder is not None
    gate = next(iter(runtime.gates.values()))
    for number in range(10):
        gate.tick(number * S)
        recorder.tick(number * S)
    assert not path.exists()
    set_storm(runtime, True)
    recorder.tick(10 * S)
    await recorder._wait()
    assert len(read(path).events) == 10
    set_storm(runtime, False)
    recorder.tap.note(12 * S, 8, 0)
    recorder.tick(12 * S)
    await recorder._wait()
    recorder.tap.note(15 * S, 8, 0)
    recorder.tick(10 * S + CALM_NS)
    await recorder._wait()
    assert read(path).events["t_ns"].tolist() == [n * S for n in (*range(10), 12, 15)]
    recorder.tap.note(40 * S, 8, 0)
    recorder.tick(40 * S)
    await recorder.close()
    recording = read(path)
    assert len(recording.events) == 12
    assert recording.is_whole


async def test_dump_writes_now_and_keeps_the_file_before(tmp_path: Path) -> None:
    """What is in memory goes to a new file; there are never more than two."""
    path = tmp_path / "a.rec"
    recorder = make_runtime(path, "storm").recorder
    assert recorder is not None
    for number in range(3):
        recorder.tap.note(number, 8, 0)
        told = await recorder.dump()
        assert told == {"file": str(path), "records": number + 1, "mode": "storm"}
    assert len(read(path).events) == 3
    assert sorted(x.name for x in tmp_path.iterdir()) == ["a.rec", "a.rec.1"]


async def test_sigusr1_writes_what_is_in_memory(tmp_path: Path) -> None:
    """The signal alone has the ring written; the process goes on."""
    path = tmp_path / "a.rec"
    config = make_config({"mode": "storm", "file": str(path)})
    is_up = asyncio.Event()
    served = asyncio.ensure_future(serve(config, on_ready=lambda info: is_up.set()))
    ready = asyncio.ensure_future(is_up.wait())
    await asyncio.wait((served, ready), return_when=asyncio.FIRST_COMPLETED)
    assert is_up.is_set()
    await asyncio.sleep(0.1)  # some ticks, so that there is something
    assert not path.exists()
    signal.raise_signal(signal.SIGUSR1)
    for _ in range(500):
        if path.exists() and len(read(path).events):
            break
        await asyncio.sleep(0.01)
    assert set(read(path).events["kind"].tolist()) == {Kind.TICK}
    assert not served.done()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)  # at once
    await served


def test_the_state_page_tells_what_it_does(tmp_path: Path) -> None:
    """Mode, records and faults; nothing where nothing is recorded."""
    runtime = StubRuntime()
    assert describe_runtime(runtime, 0)["recorder"] is None
    recorder = make_runtime(tmp_path / "a", "storm").recorder
    assert recorder is not None
    recorder.tap.note(1, Kind.TICK, 0)
    runtime.recorder = recorder
    told = {"mode": "storm", "is_writing": False, "records": 1, "kept": 1, "faults": 0}
    assert describe_runtime(runtime, 0)["recorder"] == told


def test_the_disk_holds_no_more_than_configured(tmp_path: Path) -> None:
    """Two files, each at most half, however much is written; each can be read alone."""
    file = RecordFile(tmp_path / "a", 40_000)
    events = make_events(500)
    config: dict[str, Any] = {"upstreams": {}, "policies": {}}
    for number in range(60):
        events["number"] = number
        events["t_ns"] = [zlib.crc32(b"%d" % (number * 500 + x)) << 24 for x in range(500)]
        file.write(number * 500, events, lambda first: encode_header(config, 0, 0, 0, first))
        assert sum(x.stat().st_size for x in tmp_path.iterdir()) <= 40_000
    last = read(tmp_path / "a")
    assert last.events["number"][-1] == 59
    assert last.header["first"] > 0


async def test_no_content_reaches_the_file(tmp_path: Path) -> None:
    """Of a request's path, query, headers, body and answer, and of addresses, nothing is in it."""
    path = tmp_path / "a.rec"
    secrets = [b"s3cr3t%d" % number for number in range(8)]
    request = (
        b"POST /%b?q=%b HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\nUser-Agent: %b\r\n"
        b"X-Request-Id: %b\r\nX-Claude-Code-Session-Id: %b\r\nContent-Length: 8\r\n\r\n%b"
        % (*secrets[:7], b"s3cr3t7!")
    )

    async def handle(peer: Any) -> None:
        await peer.answer()
        peer.send(b"HTTP/1.1 200 OK\r\nX-A: s3cr3tA\r\nContent-Length: 7\r\n\r\ns3cr3tB")

    recorder = {"mode": "continuous", "file": str(path)}
    async with World(handle, recorder=recorder) as world:
        caller = await world.send(request)
        assert (await caller.answer())[1] == b"s3cr3tB"
        assert world.runtime.recorder is not None
        await world.runtime.recorder.dump()
    recording = read(path)
    assert 1 in recording.events["kind"].tolist()
    whole = path.read_bytes() + recording.events.tobytes()
    assert b"s3cr3t" not in whole
    assert b"127.0.0.1" not in whole

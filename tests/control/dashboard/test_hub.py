"""One snapshot for all who watch, nothing while nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from governor.control.dashboard.hub import (
    BEAT_S,
    BYTES_PER_S,
    DUTY,
    SLOWEST_S,
    VIEWERS_MAX,
    Hub,
    TooManyViewers,
    encode_event,
)
from tests.control.stub import StubRuntime


def beat(hub: Hub) -> None:
    """Make one whole frame."""
    hub._beat()
    while hub._steps is not None:
        hub._step()


def broken_steps(*_: object) -> Generator[None, None, dict[str, object]]:
    """Return a frame that is no JSON."""
    yield
    return {"x": object()}


async def test_nothing_is_made_while_nobody_watches() -> None:
    """The beat starts with the first viewer and stops with the last."""
    hub = Hub(StubRuntime())
    assert hub._timer is None
    viewers = [hub.join()[0] for _ in range(2)]
    assert hub._timer is not None
    hub.leave(viewers[0])
    assert hub._timer is not None
    hub.leave(viewers[1])
    assert hub._timer is None
    beat(hub)
    assert (hub.n_frames, hub._timer) == (0, None)


async def test_all_viewers_get_the_same_bytes() -> None:
    """A frame is made and encoded once, however many watch."""
    hub = Hub(StubRuntime())
    viewers = [hub.join()[0] for _ in range(3)]
    beat(hub)
    frames = [await viewer.take() for viewer in viewers]
    assert hub.n_frames == 1
    assert frames[0] is frames[1] is frames[2]
    hub.close()


async def test_a_viewer_that_sleeps_finds_one_frame() -> None:
    """Frames that were not taken are replaced, not kept."""
    hub = Hub(StubRuntime())
    viewer, _ = hub.join()
    beat(hub)
    beat(hub)
    latest = viewer._frame
    assert await viewer.take() is latest
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(viewer.take(), 0.01)
    hub.close()
    assert await viewer.take() == b""


async def test_viewers_are_bounded() -> None:
    """One more than the bound is refused; a place that comes free can be taken."""
    hub = Hub(StubRuntime())
    viewers = [hub.join()[0] for _ in range(VIEWERS_MAX)]
    with pytest.raises(TooManyViewers):
        hub.join()
    hub.leave(viewers[0])
    hub.join()
    hub.close()


async def test_the_beat_slows_until_its_share_is_kept() -> None:
    """Dear or large frames come less often, never so seldom that the page looks dead."""
    hub = Hub(StubRuntime())
    for _ in range(100):
        hub._pace(0.01, 1_000)
    assert hub.every_s == pytest.approx(0.01 / DUTY, rel=0.01)
    hub = Hub(StubRuntime())
    hub._pace(0.0, 2 * BYTES_PER_S)
    assert hub.every_s == pytest.approx(2.0)
    hub._pace(60.0, 0)
    assert hub.every_s == SLOWEST_S
    hub = Hub(StubRuntime())
    hub._pace(0.0, 10)
    assert hub.every_s == BEAT_S


async def test_a_fault_in_a_frame_is_counted_and_the_next_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Watching never ends with a broken number."""
    hub = Hub(StubRuntime())
    viewer, _ = hub.join()
    snapshots = hub._snapshots
    assert snapshots is not None
    with monkeypatch.context() as broken:
        broken.setattr(type(snapshots), "steps", broken_steps)
        beat(hub)
    assert (hub.n_faults, hub.n_frames) == (1, 0)
    beat(hub)
    assert (await viewer.take()).startswith(b"event: frame\ndata: {")
    hub.close()


def test_an_event_is_one_line_of_data() -> None:
    """A line break inside a value cannot end the event."""
    assert encode_event("frame", {"a": "x\n\ny"}) == b'event: frame\ndata: {"a":"x\\n\\ny"}\n\n'

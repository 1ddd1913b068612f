"""The dashboard over a real loopback socket: headers, stream, switch."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

import governor.control.dashboard as dashboard
from governor.control import ControlPlane
from governor.control.dashboard import routes
from governor.control.dashboard.hub import VIEWERS_MAX
from governor.control.dashboard.routes import ASSETS, PAGE, STREAM, SWITCH
from governor.control.writes import HEADER
from policies.switches import Modes
from tests.control.stub import StubRuntime

PAGES = Path(dashboard.__file__).parent / "pages"


async def read_event(answer: Any) -> tuple[str, Any]:
    """Return the name and the page of the next event."""
    lines = (await asyncio.wait_for(answer.content.readuntil(b"\n\n"), 10)).decode().split("\n")
    return lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))


async def test_every_file_is_served_with_a_strict_policy(session: ClientSession) -> None:
    """The page and all that it loads: typed, uncached, nothing inline, no frames, no CORS."""
    for path in (PAGE, *(f"{PAGE}/{name}" for name in ASSETS)):
        async with session.get(path) as answer:
            assert answer.status == 200
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert await answer.read()


def test_the_list_of_files_is_what_is_there() -> None:
    """Every file of the folder is served, and every served file is there."""
    found = {str(path.relative_to(PAGES)) for path in PAGES.rglob("*") if path.is_file()}
    assert found == {*ASSETS, "index.html"}


def test_the_page_keeps_to_its_own_policy() -> None:
    """No inline script or style, nothing from elsewhere, no markup made of text."""
    page = (PAGES / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|https?://", page)
    for path in PAGES.glob("*.js"):
        assert not re.search(
            r"innerHTML|insertAdjacentHTML|eval\(|document\.write", path.read_text()
        )


def test_the_page_has_landmarks_and_one_quiet_live_region() -> None:
    """header, main, footer, titled sections; only beginnings and ends are announced."""
    page = (PAGES / "index.html").read_text()
    for landmark in ("<header", "<main", "<footer", 'lang="en"', 'class="skip"'):
        assert landmark in page
    assert page.count('aria-live="polite"') == 1
    assert page.count("<section") == len(re.findall(r'<section id="\S+" aria-labelledby=', page))
    for script in PAGES.glob("*.js"):
        assert script.read_text().count("\n") < 400


async def test_unknown_files_are_not_there(session: ClientSession) -> None:
    """Only the list is served; a path that climbs reaches nothing."""
    for name in ("x.js", "..%2f__init__.py", "vendor/", "%2e%2e/routes.py"):
        async with session.get(f"{PAGE}/{name}") as answer:
            assert answer.status == 404


async def test_a_browser_at_the_root_is_led_to_the_dashboard(session: ClientSession) -> None:
    """Who asks for HTML gets the page, who does not the index."""
    async with session.get("/", headers={"Accept": "text/html,*/*"}) as answer:
        assert answer.url.path == PAGE


async def test_the_stream_says_hello_and_then_frames(
    session: ClientSession, runtime: StubRuntime
) -> None:
    """The first event comes at once and names the columns; a frame follows and is bounded."""
    async with session.get(STREAM) as answer:
        assert answer.content_type == "text/event-stream"
        name, hello = await read_event(answer)
        assert (name, hello["upstreams"]) == ("hello", ["tools"])
        name, frame = await read_event(answer)
        assert name == "frame"
        assert len(frame["rows"][0]) == len(hello["columns"])
        assert len(json.dumps(frame)) < 4_000


async def test_viewers_are_bounded_and_leave(session: ClientSession) -> None:
    """One too many is told when to come back; a place is free again when one leaves."""
    answers = [await session.get(STREAM) for _ in range(VIEWERS_MAX)]
    async with session.get(STREAM) as refused:
        assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
        assert (await refused.json())["error"]["reason"] == "too_many_viewers"
    for answer in answers:
        answer.close()
    for _ in range(100):
        async with session.get(STREAM) as answer:
            if answer.status == 200:
                break
        await asyncio.sleep(0.05)
    assert answer.status == 200


async def test_foreign_hosts_and_sites_are_refused(session: ClientSession) -> None:
    """Neither a rebound name nor another site's page gets the page, the stream or a switch."""
    for path in (PAGE, STREAM):
        async with session.get(path, headers={"Host": "evil.example:9090"}) as answer:
            assert answer.status == 403
    async with session.get(STREAM, headers={"Sec-Fetch-Site": "cross-site"}) as answer:
        assert answer.status == 403
    headers = {"Host": "evil.example:9090", HEADER: "1"}
    async with session.post(SWITCH, json={}, headers=headers) as answer:
        assert answer.status == 403


async def test_a_switch_is_thrown_by_the_right_request_only(
    session: ClientSession, runtime: StubRuntime
) -> None:
    """Without the header nothing changes; a bad place is told; a good one is answered with all."""
    body = {"switch": "mode", "to": "observe"}
    async with session.post(SWITCH, json=body) as answer:
        assert answer.status == 403
    assert runtime.config.policies.mode == "govern"
    headers = {HEADER: "1"}
    async with session.post(SWITCH, json={**body, "to": "off"}, headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"]["reason"]) == (400, "bad_switch")
    async with session.post(SWITCH, data=b"x" * 5_000, headers=headers) as answer:
        assert answer.status == 403
    async with session.post(SWITCH, json=body, headers=headers) as answer:
        expected = {"mode": "observe", **dict.fromkeys(Modes._fields, "govern")}
        assert (answer.status, await answer.json()) == (200, expected)
    assert runtime.config.policies.mode == "observe"
    [act] = runtime.audit.last(5)
    assert (act["policy"], act["why"], act["what"]) == (
        "mode",
        "from govern to observe",
        "switched",
    )


async def test_a_viewer_that_does_not_read_is_dropped(
    runtime: StubRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is free again after the bound, and nothing piles up for it."""
    monkeypatch.setattr(routes, "SLOW_S", 0.05)
    control = ControlPlane(runtime)
    hub = control._dashboard.hub
    join = hub.join
    monkeypatch.setattr(hub, "join", lambda: (join()[0], b"x" * 16_000_000))
    await control.start()
    assert control.address is not None
    reader, writer = await asyncio.open_connection(*control.address, limit=1_024)
    writer.write(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readexactly(1)
    assert len(hub) == 1
    for _ in range(200):
        await asyncio.sleep(0.02)
        if not len(hub):
            break
    assert len(hub) == 0
    writer.close()
    await control.close()

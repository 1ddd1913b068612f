"""The control plane over a real loopback socket: routes, refusals, start and stop."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession

from governor.control import ControlPlane
from governor.control.app import INDEX, is_host_allowed
from governor.control.writes import HEADER
from tests.control.stub import StubRuntime


async def get(session: ClientSession, path: str, **options: Any) -> tuple[int, Any]:
    """Return the status and the JSON of one answer."""
    async with session.get(path, **options) as answer:
        assert answer.content_type == "application/json"
        assert "Access-Control-Allow-Origin" not in answer.headers
        return answer.status, await answer.json()


async def test_every_page_of_the_index_answers(session: ClientSession) -> None:
    """The index names every page, and every page that it names is there."""
    status, index = await get(session, "/")
    assert (status, index) == (200, INDEX)
    for path in index:
        async with session.get(path) as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/healthz/ready", "/health/readiness"])
async def test_readiness_follows_start_and_drain(
    session: ClientSession, runtime: StubRuntime, path: str
) -> None:
    """503 while starting and while draining, 200 between."""
    runtime.is_ready = False
    assert await get(session, path) == (503, {"status": "starting"})
    runtime.is_ready = True
    assert await get(session, path) == (200, {"status": "ready"})
    runtime.is_draining = True
    assert await get(session, path) == (503, {"status": "draining"})


@pytest.mark.parametrize("path", ["/healthz/live", "/health", "/health/liveliness"])
async def test_live_even_while_draining(
    session: ClientSession, runtime: StubRuntime, path: str
) -> None:
    """A draining process must not be killed before it has finished."""
    runtime.is_draining = True
    assert await get(session, path) == (200, {"status": "live"})


async def test_decisions_are_newest_first_and_bounded(session: ClientSession) -> None:
    """?last=N gives N interventions, the newest first, with the readings behind them."""
    status, page = await get(session, "/decisions?last=2")
    assert status == 200
    assert (page["total"], page["kept"]) == (4, 4)
    assert [entry["sequence"] for entry in page["decisions"]] == [3, 2]
    answered = page["decisions"][1]
    assert answered["request_id"] == "request-4"
    assert answered["reason"] == "line_full"
    assert answered["readings"]["limit"] == 1
    assert answered["retry_after_s"] > 0.0


@pytest.mark.parametrize("last", ["0", "1001", "x", "-1", "", "1e2", "²", "9" * 5000])
async def test_a_bad_last_is_refused_with_what_is_allowed(
    session: ClientSession, last: str
) -> None:
    """The answer names the field and its bounds."""
    status, page = await get(session, "/decisions", params={"last": last})
    assert status == 400
    assert page["error"]["field"] == "last"
    assert page["error"]["allowed"] == "a whole number from 1 to 1000"
    assert page["error"]["fault"] == "caller"


async def test_unknown_paths_and_methods_are_json_errors(session: ClientSession) -> None:
    """404 lists what there is; 405 says that the control plane only reads."""
    status, page = await get(session, "/nothing")
    assert (status, page["error"]["reason"]) == (404, "not_found")
    async with session.post("/state", data=b"x") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET,HEAD"
        assert (await answer.json())["error"]["reason"] == "method_not_allowed"


async def test_pretty_is_indented(session: ClientSession) -> None:
    """?pretty is for people."""
    async with session.get("/state?pretty") as answer:
        assert (await answer.text()).startswith('{\n  "version"')


async def test_foreign_hosts_are_refused(session: ClientSession, control: ControlPlane) -> None:
    """A name that a web page could point here (DNS rebinding) is not answered."""
    status, page = await get(session, "/state", headers={"Host": "evil.example:9090"})
    assert (status, page["error"]["reason"]) == (403, "host_not_allowed")


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("127.0.0.1:9090", True),
        ("10.1.2.3", True),
        ("[::1]:9090", True),
        ("LOCALHOST:1", True),
        ("localhost.", True),
        ("governor.internal:9090", True),
        ("", True),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("evil.example", False),
        ("[evil]", False),
        ("[::1", False),
        ("1", False),
    ],
)
def test_allowed_hosts(host: str, is_allowed: bool) -> None:
    """IP addresses, localhost and the configured name; no other name."""
    assert is_host_allowed(host, frozenset({"governor.internal"})) is is_allowed


async def test_starts_once_and_closes_twice(control: ControlPlane) -> None:
    """Start and close may be repeated; the port is the real one."""
    address = control.address
    assert address is not None
    assert address[1] > 0
    await control.start()
    assert control.address == address
    await control.close()
    await control.close()
    assert control.url == ""


async def test_no_address_means_no_control_plane() -> None:
    """With ``admin.address: null`` nothing listens."""
    control = ControlPlane(StubRuntime(admin=None))
    await control.start()
    assert control.address is None
    await control.close()


async def test_a_taken_port_is_an_error_at_the_start(control: ControlPlane) -> None:
    """The operator learns it at once, and nothing is left half open."""
    assert control.address is not None
    other = ControlPlane(StubRuntime(admin=f"127.0.0.1:{control.address[1]}"))
    with pytest.raises(OSError, match="in use"):
        await other.start()
    assert other.address is None


async def test_a_recording_is_written_only_for_who_may_change_something(
    session: ClientSession,
) -> None:
    """Without the header, or from another site's page, it is refused before anything is done."""
    for headers in ({}, {HEADER: "1", "Sec-Fetch-Site": "cross-site"}):
        async with session.post("/record", json={}, headers=headers) as answer:
            assert answer.status == 403
            assert (await answer.json())["error"]["reason"] == "write_not_allowed"
    async with session.post("/record", json={}, headers={HEADER: "1"}) as answer:
        assert answer.status == 409
        assert (await answer.json())["error"]["reason"] == "not_recording"


async def test_a_life_is_asked_for_by_id(session: ClientSession) -> None:
    """Without a recorder the interventions are what is known; a foolish id is refused."""
    status, page = await get(session, "/explain", params={"id": "request-2"})
    assert (status, page["is_found"], page["is_recording"]) == (200, True, False)
    assert page["decisions"][0]["reason"] == "line_full"
    status, page = await get(session, "/explain", params={"id": "x" * 300})
    assert (status, page["error"]["field"]) == (400, "id")

"""An upstream killed with SIGKILL: before, in and after the head of its answer, and for good."""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import pytest

from tests.support.governed import Governor, free_port
from tests.support.killable import KillableOrigin
from tests.support.wire import WireClient, WireResponse

PORT = free_port("127.0.0.1")


@pytest.fixture(scope="module")
def _governor() -> Iterator[Governor]:
    with Governor({"origin": f"http://127.0.0.1:{PORT}"}) as governor:
        yield governor


@pytest.fixture
def origin() -> Iterator[KillableOrigin]:
    """An origin process to kill, where the one before it died."""
    with KillableOrigin(PORT) as origin:
        yield origin


@pytest.fixture
def governor(origin: KillableOrigin, _governor: Governor) -> Iterator[Governor]:
    """One Governor that sees them all come and go; it works at once when one is back."""
    with WireClient(_governor.urls["origin"]) as client:
        assert client.request("POST", b"/echo", [], b"back").status == 200
    yield _governor
    assert not _governor.in_flight()


def error_of(response: WireResponse) -> dict[str, str]:
    """The error object of an answer of Governor's own."""
    assert response.get(b"content-type") == b"application/json"
    error: dict[str, str] = json.loads(response.body)["error"]
    return error


def test_killed_in_the_body(origin: KillableOrigin, governor: Governor) -> None:
    """A body cut short ends in a closed connection, never in a body that looks whole."""
    url = governor.urls["origin"]
    with WireClient(url) as chunked, WireClient(url) as sized:
        chunked.send(chunked.head("GET", b"/events?n=2&name=never"))
        assert chunked.read_head().status == 200
        assert chunked.read_chunk()
        sized.send(sized.head("GET", b"/download?n=1000000000"))
        head = sized.read_head()
        assert sized.read_exactly(100_000)
        origin.kill()
        with pytest.raises(ConnectionError):
            chunked.read_chunk()
        with pytest.raises(ConnectionError):
            sized.read_body(head)


def test_killed_before_the_head(origin: KillableOrigin, governor: Governor) -> None:
    """A caller that waits for an answer gets 502 with a reason, whose fault, and an id."""
    with WireClient(governor.urls["origin"]) as client:
        client.send(client.head("POST", b"/held?name=x", [(b"X-Request-Id", b"id-1")], b"body"))
        with WireClient(governor.urls["origin"]) as other:
            assert other.request("GET", b"/echo").status == 200
        origin.kill()
        response = client.read_response("POST")
        assert response.status == 502
        error = error_of(response)
        assert error["fault"] == "upstream"
        assert error["reason"]
        assert error["request_id"] == "id-1"


def test_gone_for_good(origin: KillableOrigin, governor: Governor) -> None:
    """Once nothing listens there any more, each request gets its own 502 or 503 at once."""
    with WireClient(governor.urls["origin"]) as client:
        assert client.request("GET", b"/echo").status == 200
        origin.kill()
        for _ in range(3):
            response = client.request("GET", b"/echo")
            assert response.status in (502, 503)
            assert error_of(response)["fault"] == "upstream"
    assert governor.get("/healthz/live")[0] == 200


def test_an_sdk_sees_an_ordinary_error(origin: KillableOrigin, governor: Governor) -> None:
    """The openai SDK turns Governor's own answer into its usual exception, with the message."""
    origin.kill()
    url = f"{governor.urls['origin']}/v1"
    with (
        openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.models.list()
    assert caught.value.status_code in (502, 503)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"]

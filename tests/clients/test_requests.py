"""requests, unmodified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.clients.conftest import Site
from tests.support.compare import end_to_end
from tests.support.origin import Origin
from tests.support.seen import n_connections, seen

pytestmark = pytest.mark.clients


def told(answer: requests.Response) -> Any:
    """Everything that requests tells its caller about an answer."""
    headers = end_to_end(list(answer.raw.headers.items()))
    return answer.status_code, answer.reason, headers, answer.content


def check(origin: Site[Origin], work: Callable[[requests.Session, str], Any]) -> Any:
    """Run `work(session, base)` directly and governed; all must be equal."""
    results, received = [], []
    for base in (origin.direct, origin.governed):
        with requests.Session() as session:
            results.append(work(session, base))
        received.append(seen(origin.server.take(), but=("content-type",)))
    assert results[1] == results[0]
    assert received[1] == received[0]
    return results[0]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods(origin: Site[Origin], method: str) -> None:
    """Every method arrives with its JSON body."""
    check(
        origin,
        lambda session, base: told(session.request(method, f"{base}/echo", json={"a": "ü"})),
    )


@pytest.mark.parametrize(
    "path", ["/gzip", "/odd-fields", "/trailers", "/until-close", "/one-byte-chunks", "/range"]
)
def test_answers(origin: Site[Origin], path: str) -> None:
    """Each kind of answer reads the same."""
    check(origin, lambda session, base: told(session.get(base + path)))


def test_cookies(origin: Site[Origin]) -> None:
    """All three Set-Cookie fields reach the cookie jar and come back on the next request."""

    def work(session: requests.Session, base: str) -> Any:
        session.get(f"{base}/odd-fields")
        session.get(f"{base}/echo")
        return sorted(session.cookies.items())

    assert check(origin, work) == [("a", "1"), ("b", "2"), ("c", "3")]


def test_upload_shapes(origin: Site[Origin]) -> None:
    """A form, a generator and large bytes arrive whole."""

    def work(session: requests.Session, base: str) -> Any:
        url = f"{base}/echo"
        form = session.post(url, data={"a": "1 2", "b": "ü"})
        chunked = session.put(url, data=(b"%d" % n for n in range(30)))
        large = session.post(url, data=bytes(3 << 20))
        return told(form), told(chunked), told(large)

    _, chunked, large = check(origin, work)
    assert chunked[3] == b"".join(b"%d" % n for n in range(30))
    assert len(large[3]) == 3 << 20


def test_multipart_form(origin: Site[Origin]) -> None:
    """A multipart form of two files is echoed byte for byte."""
    for base in (origin.direct, origin.governed):
        files = {"one": ("a.bin", bytes(range(256))), "two": ("ü.txt", b"text")}
        with requests.Session() as session:
            answer = session.post(f"{base}/echo", files=files)
            assert answer.content == answer.request.body


def test_redirect_is_the_clients_business(origin: Site[Origin]) -> None:
    """A 302 arrives as sent, with its reason."""

    def work(session: requests.Session, base: str) -> Any:
        url = f"{base}/status?code=302&reason=Look+Elsewhere"
        return told(session.get(url, allow_redirects=False))

    assert check(origin, work)[:2] == (302, "Look Elsewhere")


def test_keep_alive(origin: Site[Origin]) -> None:
    """A session's requests reach the origin on one connection."""
    for base in (origin.direct, origin.governed):
        with requests.Session() as session:
            for _ in range(5):
                session.post(f"{base}/echo", data=b"x")
        assert n_connections(origin.server.take()) == 1

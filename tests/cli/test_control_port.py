"""One way to name a control port, and to ask it; every failure says where, what and which flag."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from governor.cli import app
from governor.cli.control_port import NotThere, ask, control_url
from governor.errors import ConfigError

PAGES = {
    "/plain": (200, b"hello"),
    "/missing": (404, b"<html>"),
    "/ours": (409, b'{"error": {"reason": "r", "fault": "caller", "message": "say so"}}'),
    "/theirs": (401, b'{"error": {"message": "wrong key"}}'),
}


class Other(BaseHTTPRequestHandler):
    """A server that is no Governor, apart from one page that answers as one."""

    def do_GET(self) -> None:
        """Answer what stands in the table."""
        status, body = PAGES[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    """The URL of a server that is no Governor."""
    server = HTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:9090", "http://127.0.0.1:9090"),
        (" LOCALHOST:9090 ", "http://localhost:9090"),
        ("[::1]:9090", "http://[::1]:9090"),
        ("http://127.0.0.1:9090", "http://127.0.0.1:9090"),
        ("http://127.0.0.1:9090/", "http://127.0.0.1:9090"),
        ("https://ops.example", "https://ops.example"),
        ("https://[::1]:9443/", "https://[::1]:9443"),
    ],
)
def test_an_address_and_a_url_name_the_same(text: str, url: str) -> None:
    """What `--admin` of `governor run` took and what it prints can both be given."""
    assert control_url(text) == url


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be HOST:PORT, or the URL"),
        ("9090", "must be HOST:PORT, or the URL"),
        (":9090", "must be HOST:PORT, or the URL"),
        ("localhost", "must be HOST:PORT, or the URL"),
        ("off", "must be HOST:PORT, or the URL"),
        ("a b:1", "must be HOST:PORT, or the URL"),
        ("127.0.0.1:99999", "must be HOST:PORT, or the URL"),
        ("::1:9090", "must be HOST:PORT, or the URL"),
        ("[::1:9090", "must be HOST:PORT, or the URL"),
        ("http://", "must be HOST:PORT, or the URL"),
        ("http://[::1", "must be HOST:PORT, or the URL"),
        ("http://a:b", "must be HOST:PORT, or the URL"),
        ("file:///etc/hostname", "must be HOST:PORT, or the URL"),
        ("127.0.0.1:0", "must name the port that was picked"),
        ("http://127.0.0.1:0", "must name the port that was picked"),
        ("http://me:secret@127.0.0.1:9090", "must not hold a user name"),
        ("http://127.0.0.1:9090/dashboard", "must end after the port"),
        ("127.0.0.1:9090/state?pretty", "must end after the port"),
    ],
)
def test_anything_else_is_refused_with_flag_and_form(text: str, words: str) -> None:
    """No file is read and no host is asked for a text that names no control port."""
    with pytest.raises(ConfigError) as caught:
        control_url(text)
    (problem,) = caught.value.problems
    assert problem.where == "--admin"
    assert "secret" not in str(problem)
    assert problem.message.startswith(words)
    assert "127.0.0.1:9090 or http://127.0.0.1:9090" in problem.message


@pytest.mark.parametrize("command", [["top", "--once"], ["explain", "ID"], ["record"]])
def test_every_command_takes_the_same_option(command: list[str]) -> None:
    """Whoever knows it from one command knows it from all."""
    found = CliRunner().invoke(app, [*command, "--admin", "nowhere"])
    assert isinstance(found.exception, ConfigError)
    assert str(found.exception).startswith("--admin: must be HOST:PORT")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/plain", "not as Governor's control port does"),
        ("/missing", r"control port does: .* \(status 404\)"),
        ("/ours", "^Governor at http://127.*: say so$"),
        ("/theirs", r"not as Governor's control port does: .* \(status 401\)"),
    ],
)
def test_what_answers_is_told_apart(other: str, path: str, words: str) -> None:
    """Governor's own refusals in its words; another server is named as one, whatever it says."""
    with pytest.raises(NotThere, match=words):
        ask(other, path)


def test_a_real_control_port_lets_itself_be_asked_by_post(control_url_of_stub: str) -> None:
    """What is sent with a POST is what the control plane insists on: it comes to the recorder."""
    with pytest.raises(NotThere, match="nothing is recorded"):
        ask(control_url_of_stub, "/record", is_post=True)

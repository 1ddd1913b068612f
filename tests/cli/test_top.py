"""``governor top``: one frame for scripts, coming and going, and a clear word where nothing is."""

from __future__ import annotations

import io
import socket

import pytest
from rich.console import Console

from governor.cli.control_port import NotThere
from governor.cli.top import Screen, judge, show_once
from governor.cli.top_stream import parse_events, read_events
from governor.control.dashboard.rows import COLUMNS, SIGNS

HELLO = {"version": "1.2", "upstreams": ["tools"], "columns": COLUMNS, "signs": SIGNS, "said": []}
ROW = [40.0, 20.0, 8.0, 10.0, 9, 8, 3, 0, 2, 1.5, 0.5, 33.0, 0.25, 7, 0b101]
FRAME = {
    "t": 1_000.0,
    "lag_s": 0.002,
    "status": "ready",
    "modes": {"mode": "govern", "hold": "off", "contain": "govern"},
    "rows": [ROW],
    "forecast": [[41.0, 77.0]],
    "decisions": {"n": 3, "said": [[1_000.0, "away", "tools", 3, "3 calls sent away."]]},
}


@pytest.fixture
def free_port() -> int:
    """Where nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def picture(screen: Screen) -> str:
    """Return what a terminal of 160 columns shows."""
    console = Console(file=io.StringIO(), width=160)
    console.print(screen.render())
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_one_frame_for_scripts(
    control_url_of_stub: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """--once prints the upstreams of a real control plane and returns 0."""
    assert show_once(control_url_of_stub) == 0
    out = capsys.readouterr().out
    assert control_url_of_stub in out
    (line,) = (x for x in out.splitlines() if x.startswith("tools"))
    assert line.split()[:2] == ["tools", "no"]
    assert "2 calls sent away from tools" in out


def test_where_nothing_listens(free_port: int) -> None:
    """Where it looked, what to start, and the flag that names another place."""
    with pytest.raises(NotThere) as caught:
        show_once(f"http://127.0.0.1:{free_port}")
    for words in (f"http://127.0.0.1:{free_port}: ", "governor run", "--admin HOST:PORT"):
        assert words in caught.value.message


def test_another_server_is_not_taken_for_one(control_url_of_stub: str) -> None:
    """A page that is no stream is told apart from silence."""
    with pytest.raises(NotThere, match="not as Governor's control port does"):
        list(read_events(f"{control_url_of_stub}/healthz/live?"))


def test_a_frame_is_a_table_and_sentences() -> None:
    """Every column of the picture comes from the frame."""
    screen = Screen("http://127.0.0.1:9090")
    screen.take("frame", FRAME)
    assert not screen.has_frame  # columns are not known yet
    screen.take("hello", HELLO)
    screen.take("frame", FRAME)
    text = picture(screen)
    assert "governor 1.2 at http://127.0.0.1:9090" in text
    assert "hold off" in text
    (line,) = (x for x in text.splitlines() if x.startswith("tools"))
    numbers = ["40", "77", "10", "8", "9", "5", "50%", "33", "25%"]
    assert line.split()[-len(numbers) :] == numbers
    assert "retries feed themselves" in line
    assert "3 calls sent away." in text


def test_the_last_numbers_stay_while_it_is_away() -> None:
    """What was known is shown, with a word on why nothing new comes."""
    screen = Screen("http://127.0.0.1:9090")
    screen.take("hello", HELLO)
    screen.take("frame", FRAME)
    screen.trouble = "The stream ended"
    text = picture(screen)
    assert "The stream ended. Trying again." in text
    assert "tools" in text


@pytest.mark.parametrize(
    ("signs", "hz", "word"),
    [(0, 0.0, "no calls"), (0, 1.0, "calm"), (0b10001, 1.0, "callers in step")]
    + [(0b1010, 1.0, "storm foreseen"), (0b10000, 1.0, "calls wait")],
)
def test_the_gravest_sign_is_the_state(signs: int, hz: float, word: str) -> None:
    """One word an upstream, whatever else is true."""
    assert judge(signs, list(SIGNS), hz).word == word


def test_events_are_parsed_line_by_line() -> None:
    """Comments and unknown fields are skipped; each event has its name."""
    lines = [b": hi\n", b"event: hello\n", b"id: 3\n", b'data: {"a": 1}\n', b"\n"]
    assert [tuple(event) for event in parse_events(iter(lines))] == [("hello", {"a": 1})]

"""The access log: what a line holds, which lines there are, and that disks never block."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from governor.control import AccessLogWriter
from governor.control.access_log import cut_path, encode_line
from tests.control.stub import make_record

NOW_NS = 1_700_000_000_123_456_789


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the parsed lines of a log file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_line_holds_shape_and_fate() -> None:
    """Stable keys, durations in milliseconds, empty facts left out."""
    assert json.loads(encode_line(make_record(waited_ns=1_500_000), NOW_NS)) == {
        "time": "2023-11-14T22:13:20.123Z",
        "request_id": "abc",
        "method": "GET",
        "path": "/v1/tools",
        "decision": "admit",
        "reason": "untouched",
        "outcome": "completed",
        "upstream": "tools",
        "route": "all",
        "wait_ms": 1.5,
        "status": 200,
        "duration_ms": 12.34,
    }


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a?key=secret", b"/a"),
        (b"/a%3Fkey", b"/a%3Fkey"),
        (b"http://user:secret@host/a?b", b"/a"),
        (b"http://user:secret@host", b"/"),
        (b"/go?to=http://x", b"/go"),
        (b"/go/http://x/y", b"/go/http://x/y"),
        (b"*", b"*"),
        (b"/" + b"x" * 9999, b"/" + b"x" * 511),
    ],
)
def test_paths_carry_no_query_and_no_authority(target: bytes, path: bytes) -> None:
    """Neither a query value nor a password in a URL reaches the log."""
    assert cut_path(target) == path


def test_a_line_is_one_line_whatever_the_path() -> None:
    """Bytes that are no ASCII, quotes and control bytes cannot break a line."""
    line = encode_line(make_record(target=b'/\xff"\r\n\x00'), NOW_NS)
    assert line.count(b"\n") == 1
    assert json.loads(line)["path"].startswith("/\\xff")


@pytest.mark.parametrize(
    ("mode", "statuses"), [("off", []), ("touched", [503]), ("all", [200, 503])]
)
async def test_modes(tmp_path: Path, mode: Any, statuses: list[int]) -> None:
    """Off writes nothing; touched what was touched; all everything."""
    path = tmp_path / "access.log"
    log = AccessLogWriter(mode, str(path))
    log.open()
    log.observe(make_record())
    log.observe(make_record(status=503, is_touched=True))
    await log.close()
    await log.close()
    assert path.exists() == (mode != "off")
    assert [line["status"] for line in read_lines(path)] == statuses if statuses else True
    assert log.n_written == len(statuses)


async def test_lines_come_in_order_and_the_file_is_appended_to(tmp_path: Path) -> None:
    """Several flushes keep the order, and a restart keeps the old lines."""
    path = tmp_path / "access.log"
    for start in (0, 50):
        log = AccessLogWriter("all", str(path))
        for idx in range(start, start + 50):
            log.observe(make_record(request_id=str(idx).encode()))
            if idx % 10 == 0:
                log._start_flush()
        await log.close()
    assert [line["request_id"] for line in read_lines(path)] == [str(idx) for idx in range(100)]


async def test_a_stuck_disk_costs_lines_not_requests(tmp_path: Path) -> None:
    """While a write hangs, lines gather up to the bound; the rest is dropped and counted."""
    path = tmp_path / "access.log"
    log = AccessLogWriter("all", str(path), buffer_bytes=2_000)
    log.open()
    is_stuck = threading.Event()
    write = log._write

    def stuck_write(lines: list[bytes]) -> None:
        is_stuck.wait(10)
        write(lines)

    log._write = stuck_write  # type: ignore[method-assign]
    log.observe(make_record())
    log._start_flush()
    for _ in range(100):
        log.observe(make_record())
    assert 0 < len(log._lines) < 12
    assert log.n_dropped == 100 - len(log._lines)
    is_stuck.set()
    await log.close()
    assert len(read_lines(path)) == log.n_written == 101 - log.n_dropped


async def test_a_failing_disk_is_counted(tmp_path: Path) -> None:
    """A write that fails loses its lines and nothing else."""
    log = AccessLogWriter("all", str(tmp_path))  # a folder cannot be appended to
    with pytest.raises(IsADirectoryError):
        log.open()
    log.observe(make_record())
    await log.close()
    assert (log.n_faults, log.n_written) == (1, 0)


async def test_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    """``-`` writes to standard error and leaves it open."""
    log = AccessLogWriter("all")
    log.observe(make_record())
    await log.close()
    assert json.loads(capfd.readouterr().err)["status"] == 200

"""``governor run`` and ``governor sample`` as processes."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import governor

ROOT = Path(governor.__file__).parent.parent
START_S = 90.0
"""Generous: kernels may have to be compiled first, on a machine that runs other tests."""

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start ``governor`` with arguments; whatever is left at the end is ended."""
    started: list[subprocess.Popen[bytes]] = []

    def governor_with(*arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "governor", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # a line that is read takes nothing of the next with it
        )
        started.append(process)
        return process

    yield governor_with
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


def read_line(process: subprocess.Popen[bytes]) -> str:
    """Return the next line of the process's output."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        assert selector.select(START_S), "nothing was printed"
    return process.stdout.readline().decode()


def read_url(process: subprocess.Popen[bytes], name: str) -> str:
    """Return the URL on the next line, which begins with ``name``."""
    label, _, url = read_line(process).partition(" ")
    assert label == name, process.communicate(timeout=20)
    return url.strip()


def get(url: str) -> tuple[int, bytes]:
    """Return status and body."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.status, answer.read()


def is_gone_in_time(process: psutil.Process) -> bool:
    """Tell whether a process ends within a bound that no ending needs."""
    until_s = time.monotonic() + 20
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until_s:
            return False
        time.sleep(0.02)
    return True


FREE = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")


def test_run_without_anything_governs_the_sample_and_ends_with_it(start: Start) -> None:
    """Zero configuration: two lines with real ports, requests served, SIGTERM leaves nothing."""
    process = start("run", *FREE)
    proxy, control = read_url(process, "proxy"), read_url(process, "control")
    (child,) = psutil.Process(process.pid).children()
    status, body = get(f"{proxy}/tools/search?q=storm")
    assert status == 200
    assert json.loads(body)["query"] == "storm"
    assert get(f"{control}/healthz/ready")[0] == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert is_gone_in_time(child)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_the_sample_ends_when_its_parent_is_killed(start: Start) -> None:
    """Even SIGKILL of the parent leaves no process behind."""
    process = start("run", *FREE)
    read_url(process, "proxy")
    (child,) = psutil.Process(process.pid).children()
    process.kill()
    process.wait(20)
    assert is_gone_in_time(child)


def test_run_governs_the_service_that_is_named(start: Start) -> None:
    """--upstream sends requests there; no sample is started."""
    upstream = read_url(start("sample", "--listen", "127.0.0.1:0", "--slots", "2"), "sample")
    process = start("run", "--upstream", upstream, *FREE)
    proxy = read_url(process, "proxy")
    assert psutil.Process(process.pid).children() == []
    status, body = get(f"{proxy}/healthz")
    assert (status, json.loads(body)["slots"]) == (200, 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


@pytest.mark.parametrize("flag", ["--listen", "--admin"])
def test_a_taken_port_is_refused_at_once_with_the_flag(start: Start, flag: str) -> None:
    """No sample and no kernel is loaded for an address that cannot be listened on."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        other = "--admin" if flag == "--listen" else "--listen"
        process = start("run", flag, address, other, "127.0.0.1:0")
        stderr = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 1
    assert f"{address}: " in stderr
    assert "taken by another process" in stderr
    assert f"{flag} HOST:PORT" in stderr
    assert "Traceback" not in stderr


def test_a_configuration_file_runs(start: Start, tmp_path: Path) -> None:
    """A file's listeners and upstreams are used; flags override them."""
    upstream = read_url(start("sample", "--listen", "127.0.0.1:0"), "sample")
    file = tmp_path / "governor.yaml"
    file.write_text(
        "listeners: [{address: 127.0.0.1:0}]\n"
        "admin: {address: off}\n"
        f"upstreams: {{tools: {{endpoints: [{upstream}]}}}}\n"
        "policies: {mode: observe}\n"
    )
    process = start("run", "--config", str(file))
    proxy = read_url(process, "proxy")
    assert get(f"{proxy}/tools/weather?q=here")[0] == 200
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[0] == b""  # no control line


def test_the_sample_stops_on_a_signal(start: Start) -> None:
    """SIGTERM and SIGINT both end it cleanly."""
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start("sample", "--listen", "127.0.0.1:0")
        read_url(process, "sample")
        os.kill(process.pid, number)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--listen", "x"), "--listen: must be HOST:PORT"),
        (("--service-time", "soon"), "--service-time: must be a number with a unit"),
        (("--service-time", "2h"), "at most 1m"),
    ],
)
def test_the_sample_refuses_bad_flags(start: Start, arguments: tuple[str, ...], words: str) -> None:
    """A bad flag is named with what is allowed."""
    process = start("sample", *arguments)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert words in stderr.decode()

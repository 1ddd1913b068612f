"""Processes are awaited, accounted and always stopped."""

from __future__ import annotations

import os
import sys

import pytest

from bench.children import BenchError, Child, cleaned_up, free_port, pinned


def is_alive(pid: int) -> bool:
    """Return whether a process of that id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_children_end_with_the_block() -> None:
    """Leaving the block by an exception stops what was started in it."""
    started: list[int] = []

    def interrupted() -> None:
        with cleaned_up():
            sleeping = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
            started.append(sleeping.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not is_alive(started[0])


def test_a_frozen_child_can_be_stopped() -> None:
    """Pausing does not survive stopping."""
    child = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
    child.pause()
    child.stop()
    assert not is_alive(child.pid)


def test_output_and_usage() -> None:
    """A child's output is read to its end; its use of memory is seen."""
    code = "import time; print('ready', flush=True); time.sleep(0.3); print('end')"
    child = Child("printer", [sys.executable, "-c", code])
    assert child.read_line() == "ready\n"
    assert child.usage().rss_bytes > 0
    assert child.read_rest(10) == "end\n"


def test_a_failing_child_is_an_error() -> None:
    """A status other than nought is not a result."""
    child = Child("failing", [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(BenchError, match="status 3"):
        child.read_rest(10)


def test_a_child_that_ends_before_it_listens_is_named() -> None:
    """Waiting for a port ends with the process."""
    child = Child("short", [sys.executable, "-c", ""])
    with pytest.raises(BenchError, match="short"):
        child.wait_port(free_port(), timeout_s=10)
    child.stop()


def test_no_such_core_means_no_pinning() -> None:
    """On a machine with fewer cores the command runs as it is."""
    assert pinned(["true"], 10_000) == ["true"]
    assert pinned(["true"], None) == ["true"]

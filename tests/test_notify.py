"""What a service manager is told, on a real socket; the watchdog on a made-up time axis."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from governor.notify import (
    READY,
    WATCHDOG,
    keep_notifying,
    notify,
    notify_stopping,
    watchdog_interval_s,
)


class Manager:
    """The service manager's end."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(10.0)

    def heard(self) -> str:
        """Return the next message."""
        return self.socket.recv(4_096).decode()


class Timers:
    """As much of a loop as sets timers; time moves when told."""

    def __init__(self) -> None:
        self.set: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Remember a timer."""
        self.set.append((delay_s, callback))

    def fire(self) -> float:
        """Run the only timer; return what it was set to."""
        ((delay_s, callback),) = self.set
        self.set.clear()
        callback()
        return delay_s


@pytest.fixture
def address(tmp_path: Path) -> str:
    """A short address, with an @ that is not its first character."""
    return str(tmp_path / "n@tify")


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    """Who listens there."""
    manager = Manager(address)
    yield manager
    manager.socket.close()


def test_a_state_is_one_datagram(manager: Manager, address: str) -> None:
    """What is said arrives as it was said, at a path."""
    assert notify(READY, {"NOTIFY_SOCKET": address})
    assert manager.heard() == "READY=1"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract addresses")
def test_an_address_that_begins_with_an_at_sign_is_abstract() -> None:
    """As sd_notify has it."""
    name = f"governor-test-{os.getpid()}"
    manager = Manager("\0" + name)
    try:
        assert notify(READY, {"NOTIFY_SOCKET": "@" + name})
        assert manager.heard() == "READY=1"
    finally:
        manager.socket.close()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_socket_of_ours_nobody_is_told(environ: dict[str, str]) -> None:
    """No manager, or one that is reached otherwise: nothing happens."""
    assert not notify(READY, environ)


def test_a_manager_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    """The message is lost, and nothing is raised."""
    assert not notify(READY, {"NOTIFY_SOCKET": str(tmp_path / "gone")})


def test_stopping_asks_for_the_time_that_the_drain_may_take(manager: Manager, address: str) -> None:
    """30 s to drain and 10 s to close, in microseconds."""
    assert notify_stopping(30.0, {"NOTIFY_SOCKET": address})
    assert manager.heard() == "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000"


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_at_half_its_time(
    environ: dict[str, str], interval_s: float | None
) -> None:
    """Where it is set, and asked of this process."""
    assert watchdog_interval_s({"NOTIFY_SOCKET": "/x", **environ}) == interval_s
    assert watchdog_interval_s(environ) is None


def test_the_watchdog_is_fed_from_the_loop_for_ever(manager: Manager, address: str) -> None:
    """Ready once, then a sign of life from every timer, which sets the next."""
    timers = Timers()
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000000"}
    keep_notifying(cast(Any, timers), environ)
    assert [manager.heard(), manager.heard()] == [READY, WATCHDOG]
    for _ in range(3):
        assert timers.fire() == 2.0
        assert manager.heard() == WATCHDOG


def test_without_a_watchdog_no_timer_is_set(manager: Manager, address: str) -> None:
    """Ready is all there is to say."""
    timers = Timers()
    keep_notifying(cast(Any, timers), {"NOTIFY_SOCKET": address})
    assert manager.heard() == READY
    assert timers.set == []

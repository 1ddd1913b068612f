"""What the service manager is told: ready, stopping, still turning.

*Rule of this file*: datagrams out, and the timer that sends them; what they say is decided by
who calls. Without ``NOTIFY_SOCKET`` nothing is sent, and nothing that goes wrong here matters.

*Theory*: systemd gives a unit of ``Type=notify`` the address of a datagram socket. Whoever sends
``READY=1`` there is started, so what is ordered after it may begin; who sends ``WATCHDOG=1``
from its event loop at half of ``WATCHDOG_USEC`` shows that the loop turns, as a liveness probe
does elsewhere.

*Source*: sd_notify(3), sd_watchdog_enabled(3). An address that begins with @ is in Linux's
abstract namespace, whose names begin with a zero byte (unix(7)).
*Considered and rejected*: libsystemd (a dependency for two lines); unsetting the variables
(children inherit them, but systemd's ``NotifyAccess=main`` heeds the main process only).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

READY = "READY=1"
WATCHDOG = "WATCHDOG=1"

CLOSE_S = 10.0
"""After the drain, for what is closed one after the other: control plane, logs, recording, spans.
Each has a bound of its own, of 1 s or 2 s."""


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell the service manager; return whether it was told."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # a manager that is busy must not hold up the loop
            is_abstract = address.startswith("@")
            sender.sendto(state.encode(), "\0" + address[1:] if is_abstract else address)
    except OSError:
        return False
    return True


def notify_stopping(drain_timeout_s: float, environ: Mapping[str, str] = os.environ) -> bool:
    """Say that the end has begun, and how long it may take.

    The manager's own patience (``TimeoutStopSec``) is then no second place for the drain's bound.
    """
    extension_us = int((drain_timeout_s + CLOSE_S) * 1e6)
    return notify(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={extension_us}", environ)


def watchdog_interval_s(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return how often to say that the loop turns, or None where nobody asks.

    Examples
    --------
    >>> watchdog_interval_s({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "30000000"})
    15.0
    >>> watchdog_interval_s({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "3", "WATCHDOG_PID": "1"})
    """
    interval = environ.get("WATCHDOG_USEC", "")
    if not environ.get("NOTIFY_SOCKET") or not interval.isdecimal() or int(interval) == 0:
        return None
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # asked of another process
    return int(interval) / 2e6


def keep_notifying(
    loop: asyncio.AbstractEventLoop, environ: Mapping[str, str] = os.environ
) -> None:
    """Say ``READY=1`` now and, where a watchdog is set, that the loop turns until it ends."""
    notify(READY, environ)
    interval_s = watchdog_interval_s(environ)
    if interval_s is None:
        return
    every_s = interval_s

    def say() -> None:
        notify(WATCHDOG, environ)
        loop.call_later(every_s, say)

    say()

"""Whether the addresses to listen on are free, asked before anything slow starts.

*Rule of this file*: bind, close, explain. The answer can be out of date when the
server binds; the server's own error then says the same less kindly.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from governor.config.durations import Address
from governor.config.model import Config
from governor.errors import ConfigError, Problem

Place = tuple[str, str, Address]
"""Flag that sets it, field that sets it, the address."""


def places(config: Config) -> list[Place]:
    """Return every address that a configuration listens on."""
    found: list[Place] = [
        ("--listen" if idx == 0 else "", f"listeners[{idx}].address", listener.parsed)
        for idx, listener in enumerate(config.listeners)
    ]
    if config.admin.parsed is not None:
        found.append(("--admin", "admin.address", config.admin.parsed))
    return found


def refuse_taken(wanted: Iterable[Place]) -> None:
    """Raise a ConfigError that names every address that cannot be listened on, and its flag."""
    problems = []
    for flag, field, address in wanted:
        message = _why_not(address)
        if message:
            flag_hint = f" (choose another with {flag} HOST:PORT)" if flag else ""
            problems.append(Problem(str(address), field, "", message + flag_hint))
    if problems:
        raise ConfigError(*problems)


def _why_not(address: Address) -> str:
    """Return why an address cannot be listened on; empty if it can."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as exc:
        return f"must be an address of this machine: {exc.strerror}"
    for family, kind, protocol, _, place in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(place)
                probe.listen(1)
        except OSError as exc:
            return _in_words(exc, address)
    return ""


def _in_words(error: OSError, address: Address) -> str:
    """Return what an error of ``bind`` means and what to do."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"is taken by another process; `ss -ltnp sport = :{address.port}` shows which: "
            "stop it, or listen elsewhere"
        )
    if error.errno == errno.EACCES:
        return "needs rights that this user has not: ports below 1024 are privileged"
    if error.errno == errno.EADDRNOTAVAIL:
        return "is not an address of this machine: 127.0.0.1 is, 0.0.0.0 means all"
    return f"cannot be listened on: {error.strerror}"

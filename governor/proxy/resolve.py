"""Addresses of an endpoint's name: kept until a connection fails, then asked again.

*Rule of this file*: no connection is made here. A name is resolved in the
loop's thread pool, once for all who wait for it; an address needs no asking.

*Considered and rejected*: honouring DNS time-to-live (``getaddrinfo`` does not
tell it) and resolving on a timer (a name that works needs no new answer; one
that fails gets it at once).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Resolver = Callable[[str, int], Awaitable[Sequence[tuple[Any, ...]]]]
"""Host and port to what ``getaddrinfo`` returns."""


async def _ask_the_system(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    return await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )


class Addresses:
    """The addresses behind one host and port, in the order to try them.

    Parameters
    ----------
    host : str
        A name, or an IPv4 or IPv6 address without brackets.
    port : int
    """

    __slots__ = ("_addresses", "_getaddrinfo", "_is_literal", "_pending", "host", "port")

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._is_literal = _is_address(host)
        self._addresses: list[str] = [host] if self._is_literal else []
        self._pending: asyncio.Task[list[str]] | None = None
        self._getaddrinfo: Resolver = _ask_the_system

    def known(self) -> list[str]:
        """Addresses known now, the one to try first in front; empty if the name must be asked."""
        return list(self._addresses)

    async def resolve(self) -> list[str]:
        """Return the addresses, asking the resolver if none are known.

        Raises
        ------
        OSError
            The name has no address, or the resolver cannot be reached.
        """
        if self._addresses:
            return list(self._addresses)
        if self._pending is None:
            self._pending = asyncio.get_running_loop().create_task(self._ask())
            self._pending.add_done_callback(self._settle)
        return list(await asyncio.shield(self._pending))

    def succeeded(self, address: str) -> None:
        """Try this address first from now on."""
        if self._addresses and self._addresses[0] != address and address in self._addresses:
            self._addresses.remove(address)
            self._addresses.insert(0, address)

    def failed(self) -> None:
        """No address could be connected to: ask again next time."""
        if not self._is_literal:
            self._addresses = []

    async def _ask(self) -> list[str]:
        found = await self._getaddrinfo(self.host, self.port)
        return list(dict.fromkeys(str(info[4][0]) for info in found))

    def _settle(self, task: asyncio.Task[list[str]]) -> None:
        self._pending = None
        if not task.cancelled() and task.exception() is None:
            self._addresses = task.result()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True

"""Where calls go: a base URL, taken apart and resolved once.

*Rule of this file*: URLs and names; the fleet connects to addresses only, so that
no look-up happens while it runs.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

P = TypeVar("P", bound=asyncio.BaseProtocol)

FORM = "http://HOST[:PORT][/PREFIX] or https://..., for example http://127.0.0.1:9000"


@dataclass(frozen=True)
class Target:
    """One service.

    Attributes
    ----------
    host : str
        As in the URL.
    ip : str
        What is connected to; empty before it is resolved.
    port : int
    host_header, prefix : str
        The Host header; the URL's path without a slash at its end.
    tls : ssl.SSLContext or None
    """

    host: str
    ip: str
    port: int
    host_header: str
    prefix: str
    tls: ssl.SSLContext | None

    async def connect(self, make: Callable[[], P]) -> P:
        """Return a new connection to a resolved target.

        Raises
        ------
        OSError
            If there is nobody.
        """
        _, connection = await asyncio.get_running_loop().create_connection(
            make,
            self.ip,
            self.port,
            ssl=self.tls,
            server_hostname=self.host if self.tls is not None else None,
        )
        return connection


def parse(url: str) -> Target:
    """Return a target that is not resolved yet.

    Raises
    ------
    ValueError
        If it is no URL of a service; says what is.

    Examples
    --------
    >>> target = parse("http://127.0.0.1:9000/api/")
    >>> target.host, target.port, target.host_header, target.prefix
    ('127.0.0.1', 9000, '127.0.0.1:9000', '/api')
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise ValueError(f"must be {FORM}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"must be {FORM}")
    if parts.username or parts.query or parts.fragment:
        raise ValueError("must have no user, query or fragment; give a key with --key")
    if not (url.isascii() and url.strip().isprintable()) or " " in url.strip():
        raise ValueError(f"must be plain ASCII: {FORM}")
    is_tls = parts.scheme == "https"
    default_port = 443 if is_tls else 80
    return Target(
        host=parts.hostname,
        ip="",
        port=default_port if port is None else port,
        host_header=parts.netloc,
        prefix=parts.path.rstrip("/"),
        tls=ssl.create_default_context() if is_tls else None,
    )


async def resolve(url: str, loop: asyncio.AbstractEventLoop) -> Target:
    """Return a target with its address.

    Raises
    ------
    OSError
        If the name is unknown.
    """
    target = parse(url)
    found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    ip = str(found[0][4][0])
    return Target(target.host, ip, target.port, target.host_header, target.prefix, target.tls)


def is_loopback(url: str) -> bool:
    """Return whether a URL names this machine itself.

    >>> [is_loopback(f"http://{h}:1") for h in ("127.0.0.1", "localhost", "[::1]", "10.0.0.1")]
    [True, True, True, False]
    """
    host = parse(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

"""Reading and writing durations, sizes, addresses and endpoint URLs.

*Rule of this file*: text in, plain values out; no I/O, no configuration model.
A message never repeats the text that was wrong (it may hold a secret from the
environment); the loader shows it where that is safe.
"""

from __future__ import annotations

import ipaddress
import math
import re
from typing import NamedTuple
from urllib.parse import urlsplit

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h)?")
_SIZE = re.compile(r"([0-9]+)\s*(B|KiB|MiB|GiB)?")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.(?!-)[A-Za-z0-9_-]{1,63})*\.?")

UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
UNIT_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

DURATION_FORM = "a number with a unit: 200ms, 2s, 1m or 1h (a bare number means seconds)"
SIZE_FORM = "a whole number with a unit: 512B, 64KiB, 1MiB or 1GiB (a bare number means bytes)"
ADDRESS_FORM = (
    'HOST:PORT, for example 127.0.0.1:8080, "[::1]:8080" or 0.0.0.0:80 (port 0 picks a free one)'
)
ENDPOINT_FORM = "http://HOST:PORT or https://HOST:PORT, for example http://127.0.0.1:9000"


class Address(NamedTuple):
    """Where to listen: a host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{bracket(self.host)}:{self.port}"


class EndpointAddress(NamedTuple):
    """Where an upstream's endpoint is, taken apart from its URL."""

    is_tls: bool
    host: str
    port: int

    @property
    def scheme(self) -> str:
        """``https`` or ``http``."""
        return "https" if self.is_tls else "http"

    @property
    def authority(self) -> str:
        """What belongs into ``Host``: the port is left out where the scheme implies it."""
        is_implied = self.port == (443 if self.is_tls else 80)
        return bracket(self.host) if is_implied else f"{bracket(self.host)}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{bracket(self.host)}:{self.port}"


def bracket(host: str) -> str:
    """Return ``host`` as it stands in a URL: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def parse_duration_s(value: object) -> float:
    """Return seconds from ``200ms``, ``2s``, ``1m``, ``1h`` or a number of seconds.

    Examples
    --------
    >>> parse_duration_s("200ms"), parse_duration_s("1m"), parse_duration_s(3)
    (0.2, 60.0, 3.0)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError(f"must be {DURATION_FORM}")
        return float(value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"must be {DURATION_FORM}")
    number, unit = match.groups()
    return float(number) * UNIT_MS[unit or "s"] / 1_000


def format_duration(seconds: float) -> str:
    """Return the shortest exact text for a duration; the inverse of :func:`parse_duration_s`.

    Examples
    --------
    >>> format_duration(0.2), format_duration(90), format_duration(3600)
    ('200ms', '90s', '1h')
    """
    ms = round(seconds * 1_000)
    if ms / 1_000 != seconds:
        return f"{seconds:.12f}".rstrip("0") + "s"
    if ms == 0:
        return "0s"
    for unit in ("h", "m", "s"):
        if ms % UNIT_MS[unit] == 0:
            return f"{ms // UNIT_MS[unit]}{unit}"
    return f"{ms}ms"


def parse_size_bytes(value: object) -> int:
    """Return bytes from ``64KiB``, ``1MiB`` or a whole number of bytes.

    Examples
    --------
    >>> parse_size_bytes("64KiB"), parse_size_bytes(512)
    (65536, 512)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"must be {SIZE_FORM}")
    number, unit = match.groups()
    return int(number) * UNIT_BYTES[unit or "B"]


def format_size(n_bytes: int) -> str:
    """Return the shortest exact text for a size; the inverse of :func:`parse_size_bytes`."""
    for unit in ("GiB", "MiB", "KiB"):
        if n_bytes and n_bytes % UNIT_BYTES[unit] == 0:
            return f"{n_bytes // UNIT_BYTES[unit]}{unit}"
    return f"{n_bytes}B"


def parse_address(text: str) -> Address:
    """Return host and port of ``HOST:PORT``; an empty host (``:8080``) is refused.

    Examples
    --------
    >>> parse_address("[::1]:8080")
    Address(host='::1', port=8080)
    """
    if "://" in text:
        raise ValueError(f"must stand without http://: {ADDRESS_FORM}")
    host, colon, port = text.strip().rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError(f"must be {ADDRESS_FORM}")
    return Address(_parse_host(host, ADDRESS_FORM), int(port))


def parse_endpoint(url: str) -> EndpointAddress:
    """Return the parts of an endpoint's URL; anything beyond scheme, host and port is refused.

    Examples
    --------
    >>> parse_endpoint("https://api.example.com")
    EndpointAddress(is_tls=True, host='api.example.com', port=443)
    """
    if not url.isascii() or any(c.isspace() or ord(c) < 0x20 for c in url):
        raise ValueError(
            f"must be {ENDPOINT_FORM}, without spaces (write a non-ASCII name as xn--...)"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"must be {ENDPOINT_FORM}, with a port of 1 to 65535") from None
    if parts.scheme not in ("http", "https") or "://" not in url:
        raise ValueError(f"must start with http:// or https:// ({ENDPOINT_FORM})")
    if "@" in parts.netloc:
        raise ValueError(
            "must not hold a user name or password: "
            "callers' own credentials are passed through untouched"
        )
    if parts.path not in ("", "/"):
        raise ValueError(
            "must end after the port: paths are passed through unchanged, so callers add the path "
            "themselves (as in OPENAI_BASE_URL=http://127.0.0.1:8080/v1)"
        )
    if "?" in url or "#" in url:
        raise ValueError("must not hold a query or a fragment: it must end after the port")
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"must be {ENDPOINT_FORM}, with a port of 1 to 65535")
    host, _, _ = parts.netloc.rpartition(":") if port is not None else (parts.netloc, "", "")
    is_tls = parts.scheme == "https"
    return EndpointAddress(
        is_tls, _parse_host(host, ENDPOINT_FORM), port or (443 if is_tls else 80)
    )


def _parse_host(host: str, form: str) -> str:
    """Return a host name or IP address without brackets, in lower case."""
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise ValueError(f"holds a bad IPv6 address: must be {form}") from None
    if ":" in host:
        raise ValueError(f'must have brackets around an IPv6 address, as in "[::1]:8080" ({form})')
    if not _HOST_NAME.fullmatch(host):
        raise ValueError(f"must hold a host name or an IP address: {form}")
    if re.fullmatch(r"[0-9.]+", host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise ValueError(f"holds a bad IPv4 address: must be {form}") from None
    return host.lower()

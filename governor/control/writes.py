"""Who may change something on the control port without a token: one defence for all.

*Rule of this file*: pure checks of a request's facts.

*Security*: a switch and a recording need no token, so they are for whoever sits at the machine. A
web page in the operator's browser sits there too. It can send a simple cross-site POST,
so a header is asked for that no form can send and no other origin can send
without a preflight (Fetch, CORS protocol), which is never granted; the browser's own word on where
the request comes from (Origin, Sec-Fetch-Site) must not contradict; and the ``Host``
check of :mod:`governor.control.app` stands against DNS rebinding. A switch also asks for
loopback on both ends; a recording does not: it goes where the configuration says and changes no
decision, and the control port may stand in a cluster. Acts on agents bear a token instead
(:mod:`governor.control.agents.routes`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

HEADER = "X-Governor-Write"
"""Must be there, whatever its value."""


def find_objection(headers: Mapping[str, str]) -> str | None:
    """Return why a request that changes something is refused, or None if it is not.

    Each of the checks stands alone: any one of them stops a page of another site.
    """
    if HEADER not in headers:
        return f"a request that changes something carries the header {HEADER}: 1"
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return "changes are not for other sites"
    origin = headers.get("Origin")
    if origin is not None and origin != f"http://{headers.get('Host', '')}":
        return "changes are not for other origins"
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        return "send Content-Type: application/json"
    return None


def find_distance(listens_on: str | None, peer: str | None) -> str | None:
    """Return why whoever asks does not sit at this machine, or None if they do.

    Parameters
    ----------
    listens_on, peer : str or None
        The control port's own address and the other end's.
    """
    if not is_loopback(listens_on):
        return "switches are off while the control plane listens beyond loopback"
    if not is_loopback(peer):
        return "switches are for callers on this machine"
    return None


def is_loopback(host: str | None) -> bool:
    """Tell whether an address is this machine's own.

    Examples
    --------
    >>> [is_loopback(x) for x in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.1", None)]
    [True, True, True, False, False, False]
    """
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback

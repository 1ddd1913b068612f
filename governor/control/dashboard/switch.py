"""Who may throw a switch: the one thing on the control port that changes anything.

*Rule of this file*: pure checks of a request's facts.

*Security*: there is no authentication, so a switch is for whoever sits at the
machine: the control port listens on loopback and so does the peer. A web page
in the operator's browser sits there too. It can send a simple cross-site POST,
so a header is asked for that no form can send and no other origin can send
without a preflight, which is never granted; the browser's own word on where the
request comes from (Origin, Sec-Fetch-Site) must not contradict; and the ``Host``
check of :mod:`governor.control.app` stands against DNS rebinding.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from policies.switches import STATES

HEADER = "X-Governor-Switch"
"""Must be there, whatever its value."""

SWITCHES: dict[str, tuple[str, ...]] = {
    "mode": ("govern", "observe"),
    **dict.fromkeys(("hold", "contain", "limit", "slots"), STATES),
}
"""Each switch and where it can stand; the other policies are settled at the start."""


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


def find_objection(
    headers: Mapping[str, str], listens_on: str | None, peer: str | None
) -> str | None:
    """Return why a request may not throw a switch, or None if it may.

    Parameters
    ----------
    listens_on, peer : str or None
        The control port's own address and the other end's.
    """
    if not is_loopback(listens_on):
        return "switches are off while the control plane listens beyond loopback"
    if not is_loopback(peer):
        return "switches are for callers on this machine"
    if HEADER not in headers:
        return f"a request that changes something carries {HEADER}"
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return "switches are not for other sites"
    origin = headers.get("Origin")
    if origin is not None and origin != f"http://{headers.get('Host', '')}":
        return "switches are not for other origins"
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        return "send application/json"
    return None


def parse_switch(body: Any) -> tuple[str, str]:
    """Return the switch and where to.

    Raises
    ------
    ValueError
        With what is allowed.
    """
    if not isinstance(body, dict) or set(body) != {"switch", "to"}:
        raise ValueError('send {"switch": NAME, "to": VALUE}')
    name, value = body["switch"], body["to"]
    if not isinstance(name, str) or name not in SWITCHES:
        raise ValueError(f"switch must be one of {', '.join(SWITCHES)}")
    if value not in SWITCHES[name]:
        raise ValueError(f"{name} can be {', '.join(SWITCHES[name])}")
    return name, value

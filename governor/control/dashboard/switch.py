"""What can be switched from the dashboard, and where to.

*Rule of this file*: names and values; who may is in :mod:`governor.control.writes`.
"""

from __future__ import annotations

from typing import Any

from policies.switches import STATES

SWITCHES: dict[str, tuple[str, ...]] = {
    "mode": ("govern", "observe"),
    **dict.fromkeys(("hold", "contain", "limit", "slots"), STATES),
}
"""Each switch and where it can stand; the other policies are settled at the start."""


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

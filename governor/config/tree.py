"""Plain values that remember where each was written.

*Rule of this file*: values, origins and problems; it knows neither YAML nor what
may be configured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from governor.config.conflicts import Path, dotted
from governor.errors import Problem

_USER_INFO = re.compile(r"(?<=//)[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written, and how it may be shown."""

    where: str
    shown: str = ""


@dataclass(slots=True)
class Tree:
    """Plain values (``data``), their origins by path, and the problems met on the way."""

    data: Any = None
    origins: dict[Path, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def origin(self, path: Path) -> Origin:
        """Return where ``path`` was written, or else the nearest section around it."""
        for stop in range(len(path), -1, -1):
            if path[:stop] in self.origins:
                found = self.origins[path[:stop]]
                return found if stop == len(path) else Origin(found.where)
        return Origin("configuration")

    def report(self, path: Path, message: str) -> None:
        """Note a problem with the value at ``path``."""
        origin = self.origin(path)
        self.problems.append(Problem(origin.where, dotted(path), origin.shown, message))

    def put(self, path: Path, value: Any, origin: Origin) -> None:
        """Set the value at ``path``, making the sections on the way; replaces what stood there."""
        for known in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[known]
        self.origins[path] = origin
        if not path:
            self.data = value
            return
        if not isinstance(self.data, (dict, list)):
            self.data = {}
        here: Any = self.data
        for depth, (part, following) in enumerate(zip(path, (*path[1:], None), strict=True), 1):
            self.origins.setdefault(path[:depth], Origin(origin.where))
            if isinstance(here, list) and not self._make_room(here, part, path):
                return
            if following is None:
                here[part] = value
                return
            child = _child(here, part)
            if not isinstance(child, (dict, list)):
                child = [] if isinstance(following, int) else {}
                here[part] = child
            here = child

    def _make_room(self, items: list[Any], part: str | int, path: Path) -> bool:
        """Return whether a list has, or can be given, an entry ``part``."""
        if not isinstance(part, int) or part > len(items):
            self.report(path, f"must use the next free index, {len(items)}, or a lower one")
            return False
        if part == len(items):
            items.append(None)
        return True


def _child(here: Any, part: str | int) -> Any:
    try:
        return here[part]
    except KeyError:
        return None


def show(value: object) -> str:
    """Return a value as an error may show it: short, and without a URL's credentials."""
    if isinstance(value, str):
        text = _USER_INFO.sub("***@", value)
        return repr(text[:77] + "..." if len(text) > 80 else text)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else "" if isinstance(value, (dict, list)) else str(value)

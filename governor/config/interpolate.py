"""``${NAME}`` and ``${NAME:-default}`` in configured text.

*Rule of this file*: text and a mapping in, text out. It runs on values after
YAML was parsed, so no value of a variable can change the structure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(
    r"\$\$\{"  # an escaped ${
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}"
    r"|\$\{"  # anything else is a mistake
)


class InterpolationError(ValueError):
    """A reference that cannot be resolved; the message names variables, never their values."""


def interpolate(text: str, environ: Mapping[str, str]) -> str:
    """Return ``text`` with its references replaced; ``$${`` stands for a literal ``${``.

    A default is taken where the variable is unset or empty, as in a shell.

    Raises
    ------
    InterpolationError
        If a variable is unset and has no default, or a reference is malformed.

    Examples
    --------
    >>> interpolate("http://${HOST:-127.0.0.1}:${PORT}", {"PORT": "9000"})
    'http://127.0.0.1:9000'
    """

    def resolve(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            if match[0] == "$${":
                return "${"
            raise InterpolationError(
                "must write a variable as ${NAME} or ${NAME:-default}; a literal ${ is written $${"
            )
        value = environ.get(name)
        if match["default"] is not None:
            return value or match["default"]
        if value is None:
            raise InterpolationError(
                f"needs the environment variable {name}, which is not set: "
                f"set it, or give a default as in ${{{name}:-default}}"
            )
        return value

    return _REFERENCE.sub(resolve, text)

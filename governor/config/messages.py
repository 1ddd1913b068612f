"""From the validator's error words to the operator's: what is allowed, what to do.

*Rule of this file*: one table. No message repeats a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from governor.config.conflicts import Conflict, Path, did_you_mean
from governor.config.durations import format_duration, format_size
from governor.config.schema import field_at, field_references, keys_of

_KINDS = {
    "missing": "must be given",
    "string": "must be text (put it in quotes)",
    "bool": "must be true or false",
    "int": "must be a whole number",
    "float": "must be a number",
    "tuple": "must be a list: [a, b], or lines that start with -",
    "dict": "must be a section: lines of key: value",
    "model": "must be a section: lines of key: value",
}
_BOUNDS = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}


def explain(error: ValidationError, data: Any) -> Iterator[Conflict]:
    """Yield where and what for each error of the validator."""
    for detail in error.errors(include_url=False, include_input=False):
        path = _known_part(detail["loc"], detail["type"] == "extra_forbidden")
        if detail["type"] == "too_short" and _has_entries(data, path):
            continue  # its entries are wrong, and each has its own error
        yield path, _message(detail, path)


def _message(detail: ErrorDetails, path: Path) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        section = field_at(path[:-1])
        allowed = keys_of(section.section) if section and section.section else []
        return f"is not known here; {did_you_mean(str(path[-1]), allowed)}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"must be {context['expected'].replace(chr(39), '')}"
    if kind == "too_short":
        return "must have at least one entry"
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"{words} {_with_unit(context[bound], path)}"
    message = _KINDS.get(kind.partition("_")[0], detail["msg"])
    reference = _reference(path) if kind == "missing" else ""
    return f"{message}: {reference}" if reference else message


def _with_unit(bound: float, path: Path) -> str:
    """Return a bound as the field's values are written."""
    shape = field_at(path)
    attribute = shape.attribute if shape else ""
    if attribute.endswith("_s"):
        return format_duration(bound)
    return format_size(int(bound)) if attribute.endswith("_bytes") else str(bound)


def _reference(path: Path) -> str:
    section = field_at(path[:-1])
    if section is None or section.section is None:
        return ""
    return field_references().get(section.section.__name__, {}).get(str(path[-1]), "")


def _known_part(loc: tuple[int | str, ...], is_extra: bool) -> Path:
    """Return ``loc`` without what the validator appends (``[key]``, names of union members).

    A key that is not known may itself be called ``[key]``.
    """
    if not is_extra and loc and loc[-1] == "[key]":
        return loc[:-1]
    for stop in range(len(loc), 0, -1):
        if field_at(loc[:stop]) is not None or field_at(loc[: stop - 1]) is not None:
            return loc[:stop]
    return loc


def _has_entries(data: Any, path: Path) -> bool:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return False
    return bool(data)

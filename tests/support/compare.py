"""What may differ between a direct and a governed exchange, and nothing else.

Hop-by-hop fields belong to one connection (RFC 9110 section 7.6.1); forwarding fields are what a
proxy adds to say for whom it asks; Date is the origin's clock. Everything else must be equal in
name, value, order and multiplicity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)
FORWARDING = frozenset(
    {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-request-id"}
)
PER_CALL = frozenset({"date"})

Fields = list[tuple[str, str]]


def text(fields: Iterable[tuple[bytes | str, bytes | str]]) -> Fields:
    """The fields as text, one latin-1 character a byte."""
    return [(_text(name), _text(value)) for name, value in fields]


def end_to_end(
    fields: Iterable[tuple[bytes | str, bytes | str]], but: Iterable[str] = ()
) -> Fields:
    """The fields that a proxy must hand on unchanged, in their order, with their own case."""
    dropped = HOP_BY_HOP | FORWARDING | PER_CALL | frozenset(but)
    return [(name, value) for name, value in text(fields) if name.lower() not in dropped]


def names(fields: Iterable[tuple[bytes | str, bytes | str]]) -> set[str]:
    """The lower-cased names among `fields`."""
    return {name.lower() for name, _ in text(fields)}


def value_of(fields: Iterable[tuple[bytes | str, bytes | str]], wanted: str) -> str | None:
    """The value of the first field called `wanted`, in any case."""
    for name, value in text(fields):
        if name.lower() == wanted:
            return value
    return None


def same(call: Callable[[str], T], direct: str, governed: str) -> T:
    """Run `call` against both base URLs and require equal results; return that result."""
    expected = call(direct)
    actual = call(governed)
    assert actual == expected
    return expected


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value

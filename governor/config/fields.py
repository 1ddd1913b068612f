"""The kinds of value that configuration fields hold, each with its check.

*Rule of this file*: annotated types for ``model``. A check's message says what is
allowed and what to do; it never repeats the value, which may be a secret.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from governor.config.durations import (
    format_duration,
    format_size,
    parse_address,
    parse_duration_s,
    parse_endpoint,
    parse_size_bytes,
)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def _check_address(text: str) -> str:
    parse_address(text)
    return text.strip()


def _check_endpoint(url: str) -> str:
    parse_endpoint(url)
    return url.rstrip("/")


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            "must be a name of 1 to 63 letters, digits, '.', '_' or '-' (it becomes a metric label)"
        )
    return name


def _check_token(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError("must be an HTTP token: letters, digits and !#$%&'*+.^_`|~- only")
    return text


def _check_host(host: str) -> str:
    if not re.fullmatch(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]", host):
        raise ValueError(
            "must be a host name as callers send it in Host, without scheme, port or path"
        )
    return host.lower()


def _check_path_prefix(path: str) -> str:
    if (
        not path.startswith("/")
        or not re.fullmatch(r"[\x21-\x7e]+", path)
        or "?" in path
        or "#" in path
    ):
        raise ValueError(
            "must start with '/' and hold no spaces, query or fragment, as in /v1/messages"
        )
    return path.rstrip("/") or "/"


def _read_limit(value: object) -> object:
    if value == "auto":
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:
        raise ValueError(
            "must be auto, or a whole number of requests in flight per endpoint, 1 to 1000000"
        )
    return value


def _read_workers(value: object) -> object:
    if value == "auto":
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 64:
        raise ValueError("must be auto, or a whole number of processes, 1 to 64")
    return value


_DURATION_SCHEMA = {
    "type": ["string", "number"],
    "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h)?$",
    "examples": ["200ms", "2s"],
}
_SIZE_SCHEMA = {
    "type": ["string", "integer"],
    "pattern": r"^\d+\s*(B|KiB|MiB|GiB)?$",
    "examples": ["64KiB"],
}

Seconds = Annotated[
    float,
    Field(gt=0, le=86_400),
    BeforeValidator(parse_duration_s),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""A duration above 0 and at most a day."""

SecondsOrOff = Annotated[
    float,
    Field(ge=0, le=60),
    BeforeValidator(lambda value: 0.0 if value in ("off", False) else parse_duration_s(value)),
    PlainSerializer(
        lambda value: format_duration(value) if value else "off", return_type=str, when_used="json"
    ),
    WithJsonSchema({"anyOf": [{"const": "off"}, _DURATION_SCHEMA]}),
]
"""A duration up to a minute, or off (0)."""

Bytes = Annotated[
    int,
    BeforeValidator(parse_size_bytes),
    PlainSerializer(format_size, return_type=str, when_used="json"),
    WithJsonSchema(_SIZE_SCHEMA),
]
"""A size."""

ListenAddress = Annotated[str, AfterValidator(_check_address)]
OptionalAddress = Annotated[
    ListenAddress | None, BeforeValidator(lambda value: None if value == "off" else value)
]
"""An address, or off (null)."""
EndpointUrl = Annotated[str, AfterValidator(_check_endpoint)]
Name = Annotated[str, AfterValidator(_check_name)]
Token = Annotated[str, AfterValidator(_check_token)]
HeaderName = Annotated[str, AfterValidator(lambda text: _check_token(text).lower())]
Method = Annotated[str, AfterValidator(lambda text: _check_token(text).upper())]
Limit = Annotated[int | Literal["auto"], BeforeValidator(_read_limit)]
Workers = Annotated[int | Literal["auto"], BeforeValidator(_read_workers)]
Host = Annotated[str, AfterValidator(_check_host)]
PathPrefix = Annotated[str, AfterValidator(_check_path_prefix)]

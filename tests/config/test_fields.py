"""The kinds of value that fields hold."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from governor.config.fields import (
    Bytes,
    EndpointUrl,
    HeaderName,
    Name,
    OptionalAddress,
    Seconds,
    Workers,
)


@pytest.mark.parametrize("name", ["a", "tool-api.v1_2", "9", "a" * 63])
def test_names_are_safe_as_metric_labels(name: str) -> None:
    """Letters, digits, dot, underscore and dash, at most 63."""
    assert TypeAdapter(Name).validate_python(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "ä", "a" * 64, "a\n"])
def test_other_names_are_refused(name: str) -> None:
    """Nothing else becomes a label."""
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(name)


def test_a_duration_is_seconds_inside_and_text_outside() -> None:
    """Python sees float seconds, JSON sees the text with its unit."""
    adapter = TypeAdapter(Seconds)
    assert adapter.validate_python("200ms") == 0.2
    assert adapter.dump_python(0.2, mode="json") == "200ms"


def test_a_size_is_bytes_inside_and_text_outside() -> None:
    """Python sees a number of bytes, JSON sees the text with its unit."""
    adapter = TypeAdapter(Bytes)
    assert adapter.validate_python("64KiB") == 65_536
    assert adapter.dump_python(65_536, mode="json") == "64KiB"


def test_an_endpoint_loses_its_trailing_slash_only() -> None:
    """http://a/ and http://a are the same endpoint."""
    assert TypeAdapter(EndpointUrl).validate_python("http://a:1/") == "http://a:1"


def test_header_names_are_lower_case() -> None:
    """Names of headers are compared without case."""
    assert TypeAdapter(HeaderName).validate_python("X-Env") == "x-env"


@pytest.mark.parametrize("value", [None, "off"])
def test_an_optional_address_can_be_off(value: object) -> None:
    """Off and null are the same."""
    assert TypeAdapter(OptionalAddress).validate_python(value) is None


@pytest.mark.parametrize(("given_value", "kept"), [(4, 4), ("4", 4), ("auto", "auto"), (1, 1)])
def test_workers_are_a_number_or_auto(given_value: object, kept: object) -> None:
    """As text too, as from a flag or the environment."""
    assert TypeAdapter(Workers).validate_python(given_value) == kept


@pytest.mark.parametrize("value", [0, 65, -1, 1.5, True, "many", ""])
def test_workers_are_bounded(value: object) -> None:
    """What is allowed is said."""
    with pytest.raises(ValidationError, match="1 to 64"):
        TypeAdapter(Workers).validate_python(value)

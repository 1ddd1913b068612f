"""From the validator's words to the operator's."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from governor.config.messages import explain
from governor.config.model import Config


def messages(data: Any) -> dict[tuple[str | int, ...], str]:
    """Return path and message of everything that is wrong with ``data``."""
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(data, by_alias=True, by_name=False)
    return dict(explain(caught.value, data))


def upstream(**fields: object) -> dict[str, object]:
    """Return a configuration with one upstream."""
    return {"upstreams": {"a": {"endpoints": ["http://a"], **fields}}}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("max_wait", "0s", "must be more than 0s"),
        ("max_wait", "25h", "must be at most 24h"),
        ("max_waiting", -1, "must be at least 0"),
        ("max_waiting", "x", "must be a whole number"),
        ("max_waiting", 1.5, "must be a whole number"),
        ("endpoints", "http://a", "must be a list"),
        ("endpoints", [], "at least one entry"),
        ("endpoints", [3], "must be text"),
        ("tls", "yes", "must be a section"),
        ("tls", {"verify": "perhaps"}, "must be true or false"),
    ],
)
def test_each_kind_of_error_says_what_is_allowed(field: str, value: object, words: str) -> None:
    """Bounds carry the field's unit, kinds say how they are written."""
    assert any(words in message for message in messages(upstream(**{field: value})).values())


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"hold": "on"}, "must be govern, observe or off"),
        ({"limit": "off"}, "is not known here"),
        ({"max_wait": "soon"}, "must be a number with a unit"),
        ({"max_wait": "25h"}, "must be at most 24h"),
        ({"urgency": 8}, "must be at most 7"),
    ],
)
def test_what_a_route_lays_down_wrongly_is_said_at_its_key(
    own: dict[str, object], words: str
) -> None:
    """Field by field, as everywhere."""
    upstreams = {"a": {"endpoints": ["http://a"]}}
    found = messages({"upstreams": upstreams, "routes": [{"upstream": "a", "policies": own}]})
    [(where, message)] = found.items()
    assert where == ("routes", 0, "policies", *own)
    assert words in message


def test_sizes_are_bounded_in_their_unit() -> None:
    """A bound on a size is written as a size."""
    data = {**upstream(), "listeners": [{"max_head": "2MiB"}]}
    assert messages(data) == {("listeners", 0, "max_head"): "must be at most 1MiB"}


def test_a_list_of_bad_entries_is_not_also_too_short() -> None:
    """Where an entry is wrong, only the entry is reported."""
    assert list(messages(upstream(endpoints=["x"]))) == [("upstreams", "a", "endpoints", 0)]


def test_a_missing_field_comes_with_its_reference() -> None:
    """What must be given is explained in the words of the field."""
    found = messages({"upstreams": {"a": {}}})
    assert "URLs of the same service" in found["upstreams", "a", "endpoints"]


def test_a_bad_name_is_reported_at_the_name() -> None:
    """The validator's own marks do not appear in a path."""
    found = messages({"upstreams": {"a b": {"endpoints": ["http://a"]}}})
    assert list(found) == [("upstreams", "a b")]

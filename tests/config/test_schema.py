"""The JSON Schema and the look-up of fields."""

from __future__ import annotations

from typing import Any

import pytest

from governor.config.model import Config
from governor.config.schema import Kind, field_at, field_references, json_schema, resolve_keys


def properties(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return every field of every section."""
    sections = {"Config": schema, **schema["$defs"]}
    return [
        (f"{name}.{key}", field)
        for name, section in sections.items()
        for key, field in section["properties"].items()
    ]


def test_every_field_has_its_reference() -> None:
    """Each field's description says its meaning, and its default where it has one."""
    for name, field in properties(json_schema()):
        assert field.get("description"), name
        if "default" in field and field.get("type") != "array" and "$ref" not in field:
            assert "efault" in field["description"], name


def test_defaults_are_written_as_in_a_file() -> None:
    """Durations and sizes appear with their units."""
    fields = dict(properties(json_schema()))
    assert fields["Listener.max_head"]["default"] == "64KiB"
    assert fields["Upstream.connect_timeout"]["default"] == "5s"


def test_the_schema_takes_what_the_loader_takes() -> None:
    """A dumped configuration is valid by the schema, and a wrong key is not."""
    jsonschema = pytest.importorskip("jsonschema")
    document = Config.single("http://a:1").model_dump(mode="json", by_alias=True)
    validator = jsonschema.Draft202012Validator(json_schema())
    assert list(validator.iter_errors(document)) == []
    assert list(validator.iter_errors({**document, "polices": {}}))
    assert list(validator.iter_errors({**document, "drain_timeout": "2 days"}))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ((), Kind.SECTION),
        (("listeners",), Kind.LIST),
        (("listeners", 0, "tls"), Kind.SECTION),
        (("listeners", 0, "max_head"), Kind.SCALAR),
        (("upstreams",), Kind.MAP),
        (("upstreams", "x", "endpoints"), Kind.LIST),
        (("routes", 3, "match", "headers"), Kind.MAP),
        (("upstreams", "x", "limit"), Kind.SCALAR),
    ],
)
def test_fields_are_found_by_their_path(path: tuple[str | int, ...], kind: Kind) -> None:
    """A path of keys leads to what may stand there."""
    shape = field_at(path)
    assert shape is not None
    assert shape.kind is kind


@pytest.mark.parametrize(
    "path", [("nope",), ("listeners", "x"), ("upstreams", 0), ("drain_timeout", "x")]
)
def test_a_path_to_nothing_finds_nothing(path: tuple[str | int, ...]) -> None:
    """What may not stand anywhere has no shape."""
    assert field_at(path) is None


def test_names_from_the_environment_find_their_keys() -> None:
    """Letters' case does not matter, except for new names of upstreams."""
    data = {"upstreams": {"Tools": {}}}
    parts = ["UPSTREAMS", "TOOLS", "ENDPOINTS", "0"]
    assert resolve_keys(parts, data) == ("upstreams", "Tools", "endpoints", 0)
    assert resolve_keys(["upstreams", "New"], data) == ("upstreams", "New")


def test_references_are_read_from_the_model() -> None:
    """The text under a field is its reference, joined to one line."""
    text = field_references()["Listener"]["max_head"]
    assert text.startswith("Request line and headers together")
    assert "\n" not in text

"""The shape of the configuration: its JSON Schema, and which field stands at a path.

*Rule of this file*: everything is read from ``model``; nothing is written twice.
The field references are the text under each field, read from the source only
when a schema is asked for, so that starting costs nothing.
"""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from governor.config import agents, fleet, model, policies
from governor.config.conflicts import Path
from governor.config.durations import format_duration, format_size
from governor.config.model import Config
from governor.config.section import key_of


class Kind(Enum):
    """What kind of value a field takes."""

    SCALAR = "scalar"
    LIST = "list"
    MAP = "mapping of names"
    SECTION = "section"


class FieldShape(NamedTuple):
    """The field at a path."""

    kind: Kind
    section: type[BaseModel] | None
    """The model, where ``kind`` is SECTION."""
    attribute: str
    """The model's attribute, whose suffix says the unit."""
    item: Any
    """Annotation of the values inside a list or mapping."""
    is_nullable: bool


def field_at(path: Path) -> FieldShape | None:
    """Return the shape of the field at ``path``, or None where nothing may stand there."""
    shape = _shape(Config, "")
    for part in path:
        if shape.section is not None:
            attribute = next((a for a in shape.section.model_fields if key_of(a) == part), None)
            if attribute is None:
                return None
            shape = _shape(shape.section.model_fields[attribute].annotation, attribute)
        elif shape.kind is Kind.SCALAR or isinstance(part, int) != (shape.kind is Kind.LIST):
            return None
        else:
            shape = _shape(shape.item, "")
    return shape


def keys_of(section: type[BaseModel]) -> list[str]:
    """Return the YAML keys that a section takes."""
    return [key_of(attribute) for attribute in section.model_fields]


def resolve_keys(parts: Sequence[str], data: Any) -> Path:
    """Return the path that an environment variable names, in any case of letters.

    Names of upstreams keep the case in which ``data`` has them.
    """
    path: Path = ()
    here = data
    for part in parts:
        shape = field_at(path)
        key: str | int = part
        if shape is not None and shape.kind is Kind.LIST and part.isdigit():
            key = int(part)
        elif shape is not None and shape.kind is Kind.MAP:
            known = here if isinstance(here, dict) else {}
            same = [name for name in known if name.lower() == part.lower()]
            key = part if part in known or len(same) != 1 else same[0]
        else:
            key = part.lower()
        path = (*path, key)
        here = here.get(key) if isinstance(here, dict) else None
    return path


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the configuration file."""
    schema = Config.model_json_schema(by_alias=True)
    references = field_references()
    known = {**vars(agents), **vars(fleet), **vars(policies), **vars(model)}
    for name, section in {**schema["$defs"], "Config": schema}.items():
        inherited = [references.get(base.__name__, {}) for base in known[name].__mro__]
        for key, text in (item for found in inherited for item in found.items()):
            section["properties"][key]["description"] = text
            section["properties"][key].pop("title", None)
        for attribute, field in known[name].model_fields.items():
            if attribute.endswith(("_s", "_bytes")):
                write = format_duration if attribute.endswith("_s") else format_size
                if field.default is not None:
                    section["properties"][key_of(attribute)]["default"] = write(field.default)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Governor configuration",
    }


def field_references() -> Mapping[str, Mapping[str, str]]:
    """Return the reference text of every field: section name, key, text."""
    found: dict[str, dict[str, str]] = {}
    nodes = [
        node
        for x in (model, policies, agents, fleet)
        for node in ast.parse(inspect.getsource(x)).body
    ]
    for node in nodes:
        if not isinstance(node, ast.ClassDef):
            continue
        for field, text in zip(node.body, node.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                reference = _text_of(text)
                if reference:
                    found.setdefault(node.name, {})[key_of(field.target.id)] = reference
    return found


def _text_of(node: ast.stmt) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return inspect.cleandoc(str(node.value.value)).replace("\n", " ")
    return ""


def _shape(annotation: Any, attribute: str) -> FieldShape:
    """Return what an annotation allows."""
    is_nullable = False
    while get_origin(annotation) in (Annotated, Union, types.UnionType):
        options = [a for a in get_args(annotation) if a is not type(None)]
        is_nullable |= type(None) in get_args(annotation)
        if get_origin(annotation) is not Annotated and len(options) > 1:
            break
        annotation = options[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return FieldShape(Kind.SECTION, annotation, attribute, None, is_nullable)
    if get_origin(annotation) is tuple:
        return FieldShape(Kind.LIST, None, attribute, get_args(annotation)[0], is_nullable)
    if get_origin(annotation) is dict:
        return FieldShape(Kind.MAP, None, attribute, get_args(annotation)[1], is_nullable)
    return FieldShape(Kind.SCALAR, None, attribute, None, is_nullable)

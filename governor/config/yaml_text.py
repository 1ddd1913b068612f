"""YAML text as values with their lines.

*Rule of this file*: text in; values, origins and problems out. It knows YAML and
nothing of what may be configured. Scalars follow YAML 1.2's core schema: only
``true`` and ``false`` are booleans, so ``mode: off`` stays a word. Loaded only
where there is YAML to read, so that a start without a file does not pay for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from governor.config.conflicts import Path, dotted
from governor.config.interpolate import InterpolationError, interpolate
from governor.config.tree import Origin, Tree, show
from governor.errors import Problem

MAX_NODES = 100_000
"""More values than any real configuration has: bounds what repeated aliases can unfold to."""


class _CoreLoader(yaml.SafeLoader):
    """Composes nodes with the scalars of YAML 1.2's core schema."""


_CoreLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _CoreLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )


def parse(text: str, name: str, environ: Mapping[str, str]) -> Tree:
    """Return the values of one YAML document; ``name`` stands for it in messages."""
    tree = Tree()
    try:
        root = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        tree.problems.append(Problem(where, "", "", _explain(exc, text, mark)))
        return tree
    except yaml.YAMLError as exc:
        tree.problems.append(Problem(name, "", "", f"must be YAML text: {exc}".replace("\n", " ")))
        return tree
    tree.origins[()] = Origin(f"{name}:1")
    if root is not None:
        tree.data = _Builder(tree, name, environ).build(root, ())
    return tree


def _explain(exc: yaml.MarkedYAMLError, text: str, mark: yaml.Mark | None) -> str:
    """Return what YAML's parser found, and the usual cause."""
    lines = text.splitlines()
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    hint = ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in (exc.problem or ""):
        hint = "; indent with spaces, not tabs"
    elif re.search(r":\s*\[[0-9a-fA-F:.]+\]:\d", line):
        hint = '; quote an IPv6 address, as in "[::1]:8080"'
    return f"must be valid YAML: {exc.problem or exc.context}{hint}"


class _Builder:
    """Turns composed nodes into plain values, noting origins and problems in a tree."""

    def __init__(self, tree: Tree, name: str, environ: Mapping[str, str]) -> None:
        self._tree = tree
        self._name = name
        self._environ = environ
        self._open: set[int] = set()
        self._n_nodes = 0

    def build(self, node: yaml.Node, path: Path) -> Any:
        """Return the value of ``node``, which stands at ``path``."""
        self._n_nodes += 1
        if id(node) in self._open or self._n_nodes > MAX_NODES:
            self._note(node, path, "must not contain itself, nor unfold to a huge document")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            return self._sequence(node.value, path)
        finally:
            self._open.discard(id(node))

    def _where(self, node: yaml.Node) -> str:
        return f"{self._name}:{node.start_mark.line + 1}"

    def _note(self, node: yaml.Node, path: Path, message: str, shown: str = "") -> None:
        self._tree.problems.append(Problem(self._where(node), dotted(path), shown, message))

    def _sequence(self, items: list[yaml.Node], path: Path) -> list[Any]:
        values = []
        for idx, item in enumerate(items):
            self._tree.origins[*path, idx] = Origin(self._where(item))
            values.append(self.build(item, (*path, idx)))
        return values

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, item in node.value:
            if key.tag.endswith(":merge"):
                values = self._merged(item, path) | values
        first_lines: dict[str, int] = {}
        for key, item in node.value:
            if key.tag.endswith(":merge"):
                continue
            if not isinstance(key, yaml.ScalarNode):
                self._note(key, path, "must have plain words as keys")
                continue
            here = (*path, key.value)
            line = key.start_mark.line + 1
            if key.value in first_lines:
                message = f"is given twice; the first is on line {first_lines[key.value]}"
                self._note(key, here, message)
                continue
            first_lines[key.value] = line
            self._tree.origins[here] = Origin(self._where(key))
            values[key.value] = self.build(item, here)
        return values

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """Return what ``<<`` brings in: a mapping, or a list of them, the first winning."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        values: dict[str, Any] = {}
        for source in reversed(sources):
            if isinstance(source, yaml.MappingNode):
                values |= self.build(source, path) or {}
            else:
                self._note(source, path, "must merge (<<) mappings only")
        return values

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        value: Any = node.value
        if kind == "null":
            value = None
        elif kind == "bool":
            value = node.value.lower() == "true"
        elif kind == "int":
            value = int(node.value) if len(node.value) <= 20 else node.value
        elif kind == "float":
            value = float(node.value)
        elif kind != "str":
            self._note(node, path, f"must not use YAML tags (here {node.tag})")
        self._tree.origins[path] = Origin(self._tree.origin(path).where, show(value))
        if isinstance(value, str) and "${" in value:
            try:
                return interpolate(value, self._environ)
            except InterpolationError as exc:
                self._note(node, path, str(exc))
                return None
        return value

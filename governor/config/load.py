"""Where a configuration comes from: flags over environment over file, and what is wrong with it.

*Rule of this file*: the only place of ``config`` that reads files and the
environment. All problems are collected and shown together, each with where it
was written, its field, its value, what is allowed and what to do. A value that
came from the environment is never shown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from governor.config.conflicts import Conflict, Path, find_unknown_upstreams
from governor.config.messages import explain
from governor.config.model import Config
from governor.config.schema import Kind, field_at, resolve_keys
from governor.config.tree import Origin, Tree, show
from governor.errors import ConfigError, Problem

ENV_PREFIX = "GOVERNOR__"
"""``GOVERNOR__policies__mode=observe`` sets ``policies.mode``."""

MAX_FILE_BYTES = 4 << 20
"""A configuration above 4 MiB is another file, given by mistake."""


def load(
    file: str | os.PathLike[str] | None = None,
    *,
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Return the configuration from a file, the environment and flags.

    Parameters
    ----------
    file : path, optional
        YAML. Without one, only environment and flags speak.
    flags : mapping, optional
        ``upstream``, ``listen``, ``admin``, ``mode``, ``workers`` as given on the command line.
    environ : mapping, optional
        The environment; ``os.environ`` by default.

    Raises
    ------
    ConfigError
        With every problem found.
    """
    env = os.environ if environ is None else environ
    tree = _read(file, env)
    if tree.data is not None:
        _apply_environment(tree, env)
        _apply_flags(tree, flags or {})
    config = _validate(tree)
    if config is None:
        raise ConfigError(*_sorted(tree.problems))
    return config


def _read(file: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Tree:
    """Return the file's values; an empty tree where there is no file."""
    if file is None:
        return Tree(data={}, origins={(): Origin("command line")})
    from governor.config.yaml_text import parse

    name = os.fspath(file)
    try:
        content = FilePath(file).read_bytes()
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(Problem(name, "", "", "must be a configuration of at most 4 MiB"))
        tree = parse(content.decode("utf-8-sig"), name, environ)
    except OSError as exc:
        message = f"must be a readable file: {exc.strerror or exc}"
        raise ConfigError(Problem(name, "", "", message)) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(Problem(name, "", "", "must be UTF-8 text")) from exc
    if tree.data is None and not tree.problems:
        tree.data = {}
    return tree


def _apply_environment(tree: Tree, environ: Mapping[str, str]) -> None:
    """Put every ``GOVERNOR__section__field`` over what the file says."""
    for variable in sorted(environ):
        if variable.upper().startswith(ENV_PREFIX):
            origin = Origin(f"environment {variable}")
            path = resolve_keys(variable[len(ENV_PREFIX) :].split("__"), tree.data)
            _put_text(tree, path, environ[variable], origin)


def _put_text(tree: Tree, path: Path, text: str, origin: Origin) -> None:
    """Set one field from text: YAML where the field is a section or list, else as it stands."""
    found = field_at(path)
    value: Any = text
    if found is not None and found.is_nullable and text.strip().lower() in ("", "null", "off"):
        value = None
    elif found is not None and found.kind is Kind.LIST and not text.lstrip().startswith("["):
        value = [item.strip() for item in text.split(",")]
    elif found is not None and found.kind is not Kind.SCALAR:
        from governor.config.yaml_text import parse

        parsed = parse(text, origin.where, {})
        value = parsed.data
        for problem in parsed.problems:
            tree.origins[path] = origin
            tree.report(path, problem.message)
    tree.put(path, value, origin)


def _apply_flags(tree: Tree, flags: Mapping[str, str]) -> None:
    """Put the command line's flags over everything."""
    targets: dict[str, Path] = {
        "listen": ("listeners", 0, "address"),
        "admin": ("admin", "address"),
        "mode": ("policies", "mode"),
        "workers": ("workers",),
    }
    for flag, value in flags.items():
        origin = Origin(f"--{flag}", show(value))
        if flag != "upstream":
            _put_text(tree, targets[flag], value, origin)
            continue
        upstreams = tree.data.get("upstreams") if isinstance(tree.data, dict) else None
        names = list(upstreams) if isinstance(upstreams, dict) else []
        if len(names) > 1:
            message = f"can stand for one upstream only; configured are {', '.join(names)}"
            tree.problems.append(Problem(origin.where, "upstreams", origin.shown, message))
            continue
        path: Path = ("upstreams", names[0] if names else "default", "endpoints")
        tree.put(path, [value], origin)
        tree.origins[*path, 0] = origin


def _validate(tree: Tree) -> Config | None:
    """Return the configuration, or None with the problems noted in ``tree``."""
    conflicts: list[Conflict] = []
    config = None
    n_before = len(tree.problems)
    reported = {problem.field for problem in tree.problems}
    if n_before and tree.data is None:
        return None
    try:
        config = Config.model_validate(tree.data, by_alias=True, by_name=False, context=conflicts)
    except ValidationError as exc:
        conflicts += explain(exc, tree.data)
        conflicts += _unknown_upstreams(tree.data)
    conflicts += _unreadable_files(config)
    for path, message in conflicts:
        tree.report(path, message)
    tree.problems[n_before:] = [p for p in tree.problems[n_before:] if p.field not in reported]
    return None if tree.problems else config


def _unknown_upstreams(data: Any) -> list[Conflict]:
    """Return routes to nowhere, also where the rest is not valid yet."""
    routes = data.get("routes") if isinstance(data, dict) else None
    upstreams = data.get("upstreams") if isinstance(data, dict) else None
    if not isinstance(routes, list) or not isinstance(upstreams, dict):
        return []
    named = [
        (idx, route["upstream"])
        for idx, route in enumerate(routes)
        if isinstance(route, dict) and isinstance(route.get("upstream"), str)
    ]
    return list(find_unknown_upstreams(named, upstreams))


def _unreadable_files(config: Config | None) -> list[Conflict]:
    """Return the certificates and keys that cannot be read."""
    if config is None:
        return []
    named: list[tuple[Path, str | None]] = []
    for idx, listener in enumerate(config.listeners):
        if listener.tls is not None:
            named.append((("listeners", idx, "tls", "certificate"), listener.tls.certificate))
            named.append((("listeners", idx, "tls", "key"), listener.tls.key))
    for name, upstream in config.upstreams.items():
        named.append((("upstreams", name, "tls", "ca_file"), upstream.tls.ca_file))
    if config.fleet is not None:
        named.append((("fleet", "ca_file"), config.fleet.ca_file))
    return [
        (path, "must be a file that Governor can read")
        for path, file in named
        if file is not None and not (os.path.isfile(file) and os.access(file, os.R_OK))
    ]


def _sorted(problems: list[Problem]) -> list[Problem]:
    """Return problems by place: the file's by line, then the environment's and the flags'."""

    def place(problem: Problem) -> tuple[bool, str, int]:
        name, _, line = problem.where.rpartition(":")
        has_line = line.isdigit()
        return (not has_line, name if has_line else problem.where, int(line) if has_line else 0)

    return sorted(problems, key=place)

"""House rules as programs: which way imports point, what the pure layers may use."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = {
    "signals": {"signals"},
    "policies": {"policies", "signals"},
    "governor.errors": set(),
    "governor.config": {"governor.config", "governor.errors"},
    "governor.core": {"governor.core", "policies", "signals"},
    "governor.sample": {"governor.sample", "governor.config"},
    "governor.load": {"governor.load", "governor.config", "governor.errors", "governor"},
    "governor.proxy": {"governor.proxy", "governor.core", "policies", "signals"}
    | {"governor.config", "governor.errors", "governor"},
    "governor.workers": {"governor.workers", "governor.core", "policies", "signals"}
    | {"governor.proxy.histogram", "governor.proxy.stats"},  # plain counts and records
    "governor.record": {"governor.record", "governor.core", "policies", "signals"}
    | {"governor.config", "governor.errors", "governor"},
    "governor.fleet": {"governor.fleet", "governor.core", "policies", "signals"}
    | {"governor.config", "governor.errors", "governor"},
    "governor.control": {"governor.control", "governor.core", "policies", "signals"}
    | {"governor.config", "governor.errors", "governor"}
    | {"governor.proxy.histogram", "governor.proxy.stats"},  # plain counts and records
}
"""Each layer and what of ours it may import. What is not named (cli, runtime) may import all."""

PURE = ("signals", "policies", "governor.core")
BANNED_IN_PURE = {
    *("aiohttp", "asyncio", "datetime", "httptools", "json", "logging", "orjson", "random"),
    *("prometheus_client", "requests", "selectors", "socket", "threading", "time", "uvloop"),
}
OURS = ("governor", "signals", "policies")

MAX_FILE_LINES = 600
"""A ceiling, not an aim: the aim is 400."""
MAX_FUNCTION_LINES = 100
"""A ceiling, not an aim: the aim is 60."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Source(NamedTuple):
    """One file."""

    path: Path
    module: str
    text: str
    tree: ast.Module

    def __repr__(self) -> str:
        return str(self.path.relative_to(ROOT))


def read(folder: str) -> Iterator[Source]:
    """Yield the files below a folder of the project."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        yield Source(path, module, text, ast.parse(text))


@cache
def packages() -> tuple[Source, ...]:
    """Return every file of what is installed."""
    return tuple(source for folder in OURS for source in read(folder))


@cache
def files_of_tests() -> tuple[Source, ...]:
    """Return every file of the tests."""
    return tuple(read("tests"))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and full name of everything that is imported while running."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        else:
            yield from imports(node)


def is_in(module: str, package: str) -> bool:
    """Return whether a module is a package or lies in it."""
    return module == package or module.startswith(package + ".")


def may_import(layer: str, name: str) -> bool:
    """Return whether a layer may import one of our own names."""
    if name.split(".")[0] not in OURS:
        return True
    allowed = LAYERS[layer]
    return any(is_in(name, a) for a in allowed - {"governor"}) or (
        "governor" in allowed and name in ("governor", "governor.__version__")
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down_only(layer: str) -> None:
    """A layer imports itself and what lies below it, nothing else of ours."""
    wrong = [
        f"{source!r}:{line} imports {name}"
        for source in packages()
        if is_in(source.module, layer)
        for line, name in imports(source.tree)
        if not may_import(layer, name)
    ]
    assert wrong == []


def test_every_file_belongs_to_a_layer_or_to_the_top() -> None:
    """A new package must be given its place."""
    top = {"governor", "governor.__main__", "governor.cli", "governor.footprint"}
    top |= {"governor.notify", "governor.processes", "governor.resolved", "governor.runtime"}
    top |= {"governor.serving"}
    known = {*LAYERS, *top}
    stray = [
        repr(source)
        for source in packages()
        if not any(is_in(source.module, layer) for layer in known - {"governor"})
        and source.module != "governor"
    ]
    assert stray == []


def test_the_pure_layers_use_no_clock_no_chance_and_no_io() -> None:
    """Core, policies and signals take time and randomness as arguments, and log nothing."""
    wrong = [
        f"{source!r}:{line} imports {name}"
        for source in packages()
        if any(is_in(source.module, layer) for layer in PURE)
        for line, name in imports(source.tree)
        if name.split(".")[0] in BANNED_IN_PURE or name.startswith("numpy.random")
    ]
    assert wrong == []


def test_the_pure_layers_call_no_hidden_clock_or_chance() -> None:
    """Neither open, print nor numpy's own random generator is used there."""
    wrong = [
        f"{source!r}:{node.lineno}"
        for source in packages()
        if any(is_in(source.module, layer) for layer in PURE)
        for node in ast.walk(source.tree)
        if (isinstance(node, ast.Attribute) and ast.unparse(node).startswith("np.random"))
        or (isinstance(node, ast.Call) and ast.unparse(node.func) in ("open", "print", "input"))
    ]
    assert wrong == []


def public_definitions(tree: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    """Yield classes, functions and methods whose name has no leading underscore."""
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if node.name.startswith("_"):
                continue
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


def is_overload(node: Function | ast.ClassDef) -> bool:
    """Return whether the definition only adds a type or a setter to another one."""
    names = [ast.unparse(decorator) for decorator in node.decorator_list]
    return any(name.endswith((".setter", "overload", "override")) for name in names)


def test_every_module_and_public_name_has_a_docstring() -> None:
    """What is public says what it is."""
    missing = [repr(source) for source in packages() if not ast.get_docstring(source.tree)]
    missing += [
        f"{source!r}:{node.lineno} {node.name}"
        for source in packages()
        for node in public_definitions(source.tree)
        if not ast.get_docstring(node) and not is_overload(node)
    ]
    assert missing == []


def test_every_test_states_its_rule() -> None:
    """Each test has a docstring of one sentence."""
    missing = [
        f"{source!r}:{node.lineno} {node.name}"
        for source in files_of_tests()
        for node in ast.walk(source.tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and not (ast.get_docstring(node) or "").strip()
    ]
    assert missing == []


def test_every_function_is_annotated() -> None:
    """Parameters and return values of our packages have types."""
    missing = []
    for source in packages():
        for node in ast.walk(source.tree):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare = [a.arg for a in arguments if a.annotation is None and a.arg not in SELF]
            if bare or node.returns is None:
                missing.append(f"{source!r}:{node.lineno} {node.name} {bare}")
    assert missing == []


SELF = ("self", "cls", "_cls")


def test_kernels_state_their_signature_and_flags() -> None:
    """Numba is entered in one file, which says cache and fastmath; kernels say their types."""
    wrong = []
    for source in packages():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("njit", "numba.njit"):
                flags = {keyword.arg for keyword in node.keywords}
                needed = {"cache", "fastmath"} if node.args else {"fastmath"}  # inlined parts
                if source.module != "signals.kernel" or not needed <= flags:
                    wrong.append(f"{source!r}:{node.lineno} njit must say {sorted(needed)}")
            if isinstance(node, ast.FunctionDef):
                for decorator in node.decorator_list:
                    name = ast.unparse(decorator)
                    if name in ("njit", "numba.njit", "kernel", "kernel()", "jit", "numba.jit"):
                        wrong.append(f"{source!r}:{node.lineno} {node.name} has no signature")
    assert wrong == []


def test_no_file_and_no_function_is_beyond_reading() -> None:
    """Files and functions stay below the ceiling; what is above the aim is in the report."""
    sizes = [
        (source, source.text.count("\n"), repr(source), MAX_FILE_LINES, 400)
        for source in packages()
    ]
    for source in packages():
        for node in ast.walk(source.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                name = f"{source!r}:{node.lineno} {node.name}"
                sizes.append((source, size, name, MAX_FUNCTION_LINES, 60))
    for _, size, name, _, aim in sizes:
        if size > aim:
            print(f"{name}: {size} lines, the aim is {aim}")
    assert [f"{name}: {size}" for _, size, name, cap, _ in sizes if size > cap] == []


def test_warm_up_is_not_needed_to_import_the_configuration() -> None:
    """The command line starts without numba: `check`, `schema` and `version` are quick."""
    heavy = {"numba", "numpy", "uvloop", "aiohttp"}
    quick = [
        source
        for source in packages()
        if is_in(source.module, "governor.config") or source.module in ("governor.cli", "governor")
    ]
    assert [
        f"{source!r}:{line} imports {name}"
        for source in quick
        for line, name in imports(source.tree)
        if name.split(".")[0] in heavy
    ] == []

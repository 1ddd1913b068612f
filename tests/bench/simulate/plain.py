"""A kernel's part as it is written, not compiled: so that a test of its logic compiles nothing."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_IMPORT = re.compile(r"^from bench\.simulate\.(\w+) import (\([^)]*\)|[^\n]*)", re.MULTILINE)
_KERNELS = {"calendar", "laws", "views", "jobs", "agents", "governors", "model"}


def uncompiled(name: str) -> Any:
    """Return a module of the kernel with all its parts as plain functions."""
    module = importlib.import_module(f"bench.simulate.{name}")
    assert module.__file__ is not None
    text = Path(module.__file__).read_text(encoding="utf-8")
    space: dict[str, Any] = {"__name__": f"uncompiled.{name}"}
    for maker in ("part", "apart", "kernel"):
        space[maker] = lambda function: function
    for match in _IMPORT.finditer(text):
        source, words = match.groups()
        if source in _KERNELS:
            below = uncompiled(source)
            for word in re.findall(r"\w+", words):
                space[word] = getattr(below, word)
    kept = _IMPORT.sub(lambda m: "" if m[1] in _KERNELS | {"compiled"} else m[0], text)
    exec(compile(kept, module.__file__, "exec"), space)
    return SimpleNamespace(**{key: value for key, value in space.items() if key[:2] != "__"})

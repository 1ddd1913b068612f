"""How the simulation's kernel is compiled and kept.

*Rule of this file*: the choice of folders is :mod:`signals.kernel`'s, with a name of this package's
own, so that a changed benchmark never makes the product compile anew, and a changed
neighbour is never served stale.

*Theory*: parts are always inlined. They hand each other the whole world, a tuple of eleven arrays
of seven words; passing that by value to a dozen parts an event cost as much as the event.
Divisions follow numpy: none is by zero, and a check for each is a branch for each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from signals.kernel import config, find_cache_folder

F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["kernel", "part"]

_FOLDER = Path(__file__).resolve().parent
_PARTS = ("calendar", "state", "laws", "views", "world", "jobs", "agents", "governors", "model")
_CONSTANTS = ("dispatcher", "identity", "line", "newcomers", "patience", "reservations")
"""Of :mod:`governor.core`: their constants are compiled in."""


def _digest() -> str:
    """Name the sources that the kernel is made of."""
    digest = hashlib.sha256(numba.__version__.encode())
    core = _FOLDER.parent.parent / "governor" / "core"
    paths = [_FOLDER / f"{name}.py" for name in _PARTS]
    for path in (*paths, *(core / f"{name}.py" for name in _CONSTANTS)):
        digest.update(path.read_bytes())
    return f"simulate-{digest.hexdigest()[:16]}"


def part(function: F) -> F:
    """Make a function that is copied into the kernel."""
    return cast(F, numba.njit(fastmath=False, error_model="numpy", forceinline=True)(function))


def apart(function: F) -> F:
    """Make a function that stands in the kernel once: what many parts do, none of them often."""
    return cast(F, numba.njit(fastmath=False, error_model="numpy")(function))


def kernel(function: F) -> F:
    """Compile a function at its first call, from the cache where there is one."""
    folder = find_cache_folder(_digest())
    previous = config.CACHE_DIR
    try:
        if folder is not None:
            config.CACHE_DIR = str(folder)
        make = numba.njit(cache=folder is not None, fastmath=False, error_model="numpy")
        return cast(F, make(function))
    finally:
        config.CACHE_DIR = previous

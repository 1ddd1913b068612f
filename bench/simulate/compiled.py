"""How the simulation's kernel is compiled and kept.

*Rule of this file*: the flags of :mod:`signals.kernel` and its choice of folders, with a name of
this package's own, so that a changed benchmark never makes the product compile anew, and
a changed neighbour is never served stale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

from signals.kernel import config, find_cache_folder, part

F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["kernel", "part"]

_SOURCES = ("calendar.py", "state.py", "laws.py", "model.py", "views.py")


def _digest() -> str:
    """Name the sources that the kernel is made of."""
    digest = hashlib.sha256(numba.__version__.encode())
    for name in _SOURCES:
        digest.update(Path(__file__).with_name(name).read_bytes())
    return f"simulate-{digest.hexdigest()[:16]}"


def kernel(function: F) -> F:
    """Compile a function at its first call, from the cache where there is one."""
    folder = find_cache_folder(_digest())
    previous = config.CACHE_DIR
    try:
        if folder is not None:
            config.CACHE_DIR = str(folder)
        compiled: F = numba.njit(cache=folder is not None, fastmath=False)(function)
    finally:
        config.CACHE_DIR = previous
    return compiled

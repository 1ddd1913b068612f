"""How numba kernels are compiled, cached and entered; the only file that knows numba's manners.

*Rule of this file*: compiled code is made by :func:`kernel` and :func:`part`
and by nothing else, so that the flags are stated once. A kernel has an explicit
signature (compiled at import, a wrong type fails loudly) and is cached; a part
is compiled into the kernels that call it and never loaded by itself, which
keeps a warm start short. ``fastmath`` is off: infinities keep their meaning.

*Theory*: numba looks for compiled code beside the source, then in the user's
cache folder, and raises if it can write to neither: a read-only image could
not start. Its index also keys a kernel by its own file alone, so a kernel
that inlined a changed neighbour would be served stale. Both are cured by
choosing the folder here: the first usable of (``NUMBA_CACHE_DIR``, beside the
source, the user's cache folder, a private folder under the temporary one),
in a sub-folder named by a digest of all kernel sources. If none can be
written, kernels are compiled without a cache: a slower start, never a failure.

*Considered and rejected*: leaving it to ``NUMBA_CACHE_DIR`` (everyone must
know of it); a fixed world-writable folder in /tmp (cached code is executed,
so the folder must be the user's own: owner and mode are checked).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba import types
from numba.core import config as _config
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])

config: Any = _config
carray: Any = cast(Any, numba).carray

IS_COMPILED = not config.DISABLE_JIT
"""False under ``NUMBA_DISABLE_JIT=1``: kernels are then plain Python functions."""

_PACKAGE = Path(__file__).resolve().parent


def _compute_digest() -> str:
    """Name the exact kernel sources, so that no stale code is ever loaded."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(_PACKAGE.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _is_writable(folder: Path) -> bool:
    """Try it: permission bits do not tell of read-only mounts."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _is_private(folder: Path) -> bool:
    """Cached code is executed: only our own folder, writable by nobody else, is trusted."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    is_folder = stat.S_ISDIR(found.st_mode)
    return is_folder and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _candidates() -> Iterator[Path]:
    """Yield the folders to try, best first."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        yield Path(named)
    yield _PACKAGE / "__pycache__"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    yield Path(home) / "governor"
    private = Path(tempfile.gettempdir()) / f"governor-{os.getuid()}"
    if _is_writable(private) and _is_private(private):
        yield private


def find_cache_folder(name: str) -> Path | None:
    """Return a writable folder for compiled kernels, or None.

    A folder filled at build time but read-only now (a container image) seeds
    the writable one, so that such an image still starts warm.

    Parameters
    ----------
    name : str
        Sub-folder: the digest of the kernel sources.
    """
    warm: Path | None = None
    try:
        for base in _candidates():
            folder = base / f"kernels-{name}"
            if _is_writable(folder):
                if warm is not None and not any(folder.iterdir()):
                    shutil.copytree(warm, folder, dirs_exist_ok=True)
                return folder
            if warm is None and folder.is_dir():
                warm = folder
    except OSError:
        return None
    return None


_FOLDER = find_cache_folder(_compute_digest())


def kernel(signature: Any) -> Callable[[F], F]:
    """Compile a function at import, from the cache where there is one.

    Parameters
    ----------
    signature : numba signature
        Explicit; the only types that the kernel accepts.

    Notes
    -----
    A cache that breaks half-way (full disk, torn file) costs a compilation,
    never the start.
    """

    def decorate(function: F) -> F:
        if _FOLDER is not None:
            previous = config.CACHE_DIR
            config.CACHE_DIR = str(_FOLDER)
            try:
                return cast(F, numba.njit(signature, cache=True, fastmath=False)(function))
            except (OSError, RuntimeError, EOFError, ValueError):
                pass
            finally:
                config.CACHE_DIR = previous
        return cast(F, numba.njit(signature, cache=False, fastmath=False)(function))

    return decorate


def part(function: F) -> F:
    """Make a function that kernels are built of; its types follow from their signatures."""
    return cast(F, numba.njit(fastmath=False)(function))


def inlined(function: F) -> F:
    """Make a function that is copied into its callers, for parts that are handed everything."""
    return cast(F, numba.njit(fastmath=False, inline="always")(function))


def get_entry(function: F) -> F:
    """Return the compiled function itself, without numba's choice among signatures.

    A kernel has exactly one signature, so choosing by the arguments' types
    on every call (0.5 us) buys nothing. The caller must pass those types: the
    bank owns its arrays, so it can promise that. Without a compiler
    (``NUMBA_DISABLE_JIT=1``) it is the plain function.
    """
    overloads = getattr(function, "overloads", None)
    if not overloads or len(overloads) != 1:
        return function
    return cast(F, getattr(next(iter(overloads.values())), "entry_point", None) or function)


def get_plain(function: F) -> F:
    """Return a part as it is written, not compiled.

    For what people ask now and then: calling a part from Python would compile
    it first, for seconds, wherever that happens to be.
    """
    return cast(F, getattr(function, "py_func", function))


def make_view(array_type: Any) -> Callable[[int, int], Any]:
    """Return a part ``(address, n) -> array`` for memory that Python owns and keeps alive.

    Handing an array to a kernel costs 60-90 ns, a number 20-40 ns. A bank's
    arrays live as long as the bank, so their addresses are handed over once.

    Parameters
    ----------
    array_type : numba array type
        One-dimensional and contiguous.
    """
    pointer: Any = cast(Any, types.CPointer)(array_type.dtype)

    def type_pointer(context: Any, address: Any) -> Any:
        def generate(backend: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], backend.get_value_type(signature.return_type))

        return pointer(types.int64), generate

    cast_address: Any = intrinsic(type_pointer)

    @part
    def view(address: int, n: int) -> Any:
        return carray(cast_address(address), n)

    return view

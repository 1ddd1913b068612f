"""Compiles what decides about every request, from the same sources that run interpreted.

*Rule of this file*: which modules, and when not; all else about the package is in pyproject.toml.

*Theory*: mypyc (mypy's compiler) turns annotated modules into an extension: attributes are fields,
calls between methods are calls of C, and what a module does is the same. So the tests run on the
sources; those that need no stand-ins run on what is compiled too (``make test-compiled``).

*Regime*: without a C compiler or Python's headers, or with ``GOVERNOR_PURE=1``, nothing is:
slower, otherwise the same. An editable install runs the sources.

*Considered and rejected*: the rim (its time goes into the parser, the loop and the kernel, and its
classes are asyncio's); the detectors (numba's already).
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import setup

PARTS = ("governor/core", "policies", "policies/limit")
"""Every module of these folders."""

OTHERS = (
    *("governor/record/events.py", "governor/record/gate_tap.py", "governor/record/refusals.py"),
    *("governor/record/replay.py", "governor/record/ring.py", "governor/record/rows.py"),
    "governor/record/tap.py",
)
"""What goes along with every event besides."""

BUILDS = {"bdist_wheel", "build", "build_ext", "install"}
"""Commands that need what is compiled; others would wait a minute for nothing."""

FLAGS = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
"""Of mypy: strictness is checked elsewhere, and where it is built only numpy is installed."""


def find_modules() -> list[str]:
    """Return the modules to compile."""
    modules = [str(path) for part in PARTS for path in Path(part).glob("*.py")]
    return sorted([*modules, *OTHERS])


def why_not() -> str:
    """Return why nothing can be compiled; empty if it can."""
    if os.environ.get("GOVERNOR_PURE", "0") not in ("", "0"):
        return "GOVERNOR_PURE is set"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(os.environ.get("CC", compiler).split()[0]):
        return "there is no C compiler"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "Python's headers are not installed"
    try:
        import mypyc.build  # noqa: F401
    except ImportError:
        return "mypy is not installed"
    return ""


def make_extensions() -> list[object]:
    """Return what is to be compiled."""
    if not BUILDS & set(sys.argv):
        return []
    if reason := why_not():
        print(f"Governor's core stays interpreted: {reason}", file=sys.stderr)
        return []
    from mypyc.build import mypycify

    try:
        return mypycify([*FLAGS, *find_modules()], opt_level="3", group_name="governor")
    except SystemExit:  # it has said why; what is slower is better than nothing
        print("Governor's core stays interpreted: mypyc did not take it", file=sys.stderr)
        return []


setup(ext_modules=make_extensions())

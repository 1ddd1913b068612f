"""What is compiled, and when nothing is."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMPILED_PARTS = ("governor/core", "policies")


def run_setup(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run setup.py in the source tree."""
    return subprocess.run(
        [sys.executable, "setup.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"GOVERNOR_PURE": "1"}, "GOVERNOR_PURE is set"),
        ({"GOVERNOR_PURE": "0", "CC": "no-such-compiler"}, "there is no C compiler"),
    ],
)
def test_where_nothing_can_be_compiled_the_sources_are_the_package(
    environ: dict[str, str], reason: str, tmp_path: Path
) -> None:
    """A reason in words, and no failure."""
    places = (f"--build-lib={tmp_path}", f"--build-temp={tmp_path}")
    done = run_setup("build_ext", *places, **environ)
    assert done.returncode == 0, done.stderr
    assert f"core stays interpreted: {reason}" in done.stderr


def compiled_sources() -> list[Path]:
    """Return the sources of what is compiled whole."""
    return sorted(path for part in COMPILED_PARTS for path in (ROOT / part).rglob("*.py"))


@pytest.mark.parametrize("path", compiled_sources(), ids=lambda x: str(x.relative_to(ROOT)))
def test_constants_of_the_core_are_final(path: Path) -> None:
    """A constant that may change is looked up by name, also by compiled code."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign):
            names = [x.id for x in node.targets if isinstance(x, ast.Name)]
            loose = [x for x in names if x.isupper() and len(x) > 1]
            assert not loose, f"{path.name}: {loose}: write NAME: Final = ..."

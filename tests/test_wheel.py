"""What is installed works without the source tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("governor", "signals", "policies")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, with the tools that are installed."""
    pytest.importorskip("build")
    source = tmp_path_factory.mktemp("source")
    for part in PARTS:
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    out = source / "dist"
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source],
        check=True,
        capture_output=True,
        timeout=110,
        env={**os.environ, "GOVERNOR_PURE": "1"},  # compiling takes minutes
    )
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment of its own, with our dependencies in reach."""
    home = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True, timeout=60)
    python = home / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--quiet"]
        + ["--no-index", "--no-warn-script-location", wheel],
        check=True,
        capture_output=True,
        timeout=60,
    )
    site = next(home.glob("lib/python*/site-packages"))
    # A plain .pth line adds the folder only: an editable install of ours there is not followed.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


def call(installed: Path, *arguments: str | Path) -> str:
    """Run a program of the environment in a folder where there is no source."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ["NUMBA_DISABLE_JIT"] = "1"  # where code comes from is asked, not how fast it is
    found = subprocess.run(
        [installed / "bin" / arguments[0], *arguments[1:]],
        cwd=installed,
        env=environ,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    """No tests, no benchmarks; the marks of typing and the licence are there."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == set(PARTS)
    for part in PARTS:
        assert f"{part}/py.typed" in names
        expected = {str(path.relative_to(ROOT)) for path in (ROOT / part).rglob("*.py")}
        assert {name for name in names if name.startswith(f"{part}/")} >= expected
    pages = ROOT / "governor" / "control" / "dashboard" / "pages"
    assert {str(x.relative_to(ROOT)) for x in pages.rglob("*") if x.is_file()} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_command_works_outside_the_source_tree(installed: Path) -> None:
    """`governor version` and `governor schema` run from the installed package."""
    assert call(installed, "governor", "version").startswith("governor ")
    schema = json.loads(call(installed, "governor", "schema"))
    assert schema["properties"]["upstreams"]["description"]


def test_the_packages_are_imported_from_the_wheel(installed: Path) -> None:
    """governor, signals and policies come from the environment, not from the source."""
    code = "import governor.cli, signals, policies as p; print(governor, signals, p, sep='\\n')"
    for line in call(installed, "python", "-P", "-c", code).splitlines():
        assert f"from '{installed}/" in line

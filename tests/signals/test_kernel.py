"""Compilation and cache: never a failure, never stale, never trusted from others."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from signals import kernel as module
from signals.events import note
from signals.kernel import find_cache_folder, get_entry
from tests.signals.short import ShortBank
from tests.signals.test_bank import feed, make_events

ROOT = Path(__file__).resolve().parents[2]

SMALL_PACKAGE = """
from numba import types
from signals.kernel import kernel, part


@part
def double(n):
    return 2 * n


@kernel(types.int64(types.int64))
def quadruple(n):
    return double(double(n))
"""

PROGRAM = """
import sys, signals
assert signals.quadruple(3) == 12
print(sys.modules["signals.kernel"]._FOLDER)
"""

TWIN_PROGRAM = """
import json
from tests.signals.test_bank import feed, make_events
from tests.signals.short import ShortBank
bank = ShortBank(20)
attempts = feed(bank, make_events(5, 120, 20, 50.0, 0.5))
print(json.dumps([attempts, [reading.value for reading in bank.read()]]))
"""


def run(package_at: Path, **environment: str) -> str:
    """Use the package in a process of its own; return what it printed."""
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(package_at), **environment}
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", PROGRAM],
        env=variables,
        cwd=package_at,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of one small kernel, compiled by a copy of what compiles the real ones."""
    folder = tmp_path / "code" / "signals"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "signals" / "kernel.py", folder)
    (folder / "__init__.py").write_text(SMALL_PACKAGE)
    return tmp_path / "code"


def block(folder: Path) -> None:
    """Make a folder impossible to create, even for root: a file stands in its place."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("not a folder")


def test_a_package_that_cannot_be_written_caches_elsewhere(package: Path, tmp_path: Path) -> None:
    """Beside the source, then the home, then a private temporary folder."""
    block(package / "signals" / "__pycache__")
    block(tmp_path / "home")
    (tmp_path / "tmp").mkdir()
    folder = run(package, HOME=str(tmp_path / "home"), TMPDIR=str(tmp_path / "tmp"))
    private = tmp_path / "tmp" / f"governor-{os.getuid()}"
    assert folder.startswith(str(private))
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert list(Path(folder).rglob("*.nbi"))


def test_without_any_folder_it_runs_without_a_cache(package: Path, tmp_path: Path) -> None:
    """Nowhere to write: a slower start, never a failure."""
    block(package / "signals" / "__pycache__")
    block(tmp_path / "home")
    (tmp_path / "tmp").mkdir()
    block(tmp_path / "tmp" / f"governor-{os.getuid()}")
    places = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")}
    assert run(package, NUMBA_DISABLE_JIT="1", **places) == "None"


def test_a_read_only_warm_cache_seeds_a_writable_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that was warmed when built starts warm from a read-only root."""
    warm, fresh = tmp_path / "image", tmp_path / "fresh"
    (warm / "kernels-x").mkdir(parents=True)
    (warm / "kernels-x" / "some.nbi").write_text("compiled")
    fresh.mkdir()
    monkeypatch.setattr(module, "_candidates", lambda: iter([warm, fresh]))
    monkeypatch.setattr(module, "_is_writable", lambda folder: _make(folder, fresh))
    assert find_cache_folder("x") == fresh / "kernels-x"
    assert (fresh / "kernels-x" / "some.nbi").read_text() == "compiled"


def _make(folder: Path, below: Path) -> bool:
    """Stand in for a root file system that is read-only outside ``below``."""
    if not folder.is_relative_to(below):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    return True


def test_a_folder_that_others_can_write_is_not_trusted(tmp_path: Path) -> None:
    """Cached code is executed: a link or a shared folder is passed over."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert not module._is_private(shared)
    shared.chmod(0o700)
    assert module._is_private(shared)
    link = tmp_path / "link"
    link.symlink_to(shared)
    assert not module._is_private(link)
    assert not module._is_private(tmp_path / "missing")


def test_the_named_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``NUMBA_CACHE_DIR`` is honoured; the digest tells versions apart."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert find_cache_folder("one") == tmp_path / "kernels-one"
    assert find_cache_folder("two") == tmp_path / "kernels-two"


def test_entry_is_the_kernel() -> None:
    """The short way in gives what the long way gives; a plain function is its own entry."""
    if hasattr(note, "overloads"):
        assert get_entry(note) is not note
    assert get_entry(len) is len


def test_without_the_compiler_the_results_are_the_same() -> None:
    """The kernels are also plain Python: ``NUMBA_DISABLE_JIT=1`` changes speed only."""
    done = subprocess.run(
        [sys.executable, "-c", TWIN_PROGRAM],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    bank = ShortBank(20)
    attempts = feed(bank, make_events(5, 120, 20, 50.0, 0.5))
    plain_attempts, plain_values = json.loads(done.stdout)
    assert plain_attempts == attempts
    assert plain_values == pytest.approx([reading.value for reading in bank.read()])

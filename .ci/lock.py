"""Writes the lock files from what is installed: exact versions of what is needed, no more.

``requirements.lock`` holds what Governor needs to run, ``requirements-dev.lock`` what
its tests, checks and benchmarks need besides. Run by ``make lock``, with the
virtual environment's Python.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEAD = "# Written by `make lock`. {what}\n"


def resolve(lines: Iterable[str]) -> dict[str, str]:
    """Return name and version of everything that the requirements bring in, here installed."""
    versions: dict[str, str] = {}
    todo = [Requirement(line) for line in lines]
    seen: set[tuple[str, str]] = set()
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        for extra in ("", *sorted(wanted.extras)):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                found = distribution(name)
            except PackageNotFoundError:
                raise SystemExit(f"{name} is needed and not installed") from None
            versions[name] = found.version
            for line in found.requires or ():
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    todo.append(needed)
    return versions


def write(path: Path, versions: dict[str, str], what: str) -> None:
    """Write one lock file."""
    lines = [f"{name}=={version}\n" for name, version in sorted(versions.items())]
    path.write_text(HEAD.format(what=what) + "".join(lines))


def main() -> None:
    """Write both files."""
    root = Path(__file__).resolve().parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    build = tomllib.loads((root / "pyproject.toml").read_text())["build-system"]["requires"]
    runtime = resolve(project["dependencies"])
    everything = resolve(
        [*project["dependencies"], *project["optional-dependencies"]["dev"], *build]
    )
    dev = {name: version for name, version in everything.items() if name not in runtime}
    write(root / "requirements.lock", runtime, "What Governor needs to run.")
    write(root / "requirements-dev.lock", dev, "What tests, checks and benchmarks need besides.")


if __name__ == "__main__":
    main()

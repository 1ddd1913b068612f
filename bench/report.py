"""Results as Markdown tables and JSON, with where and when they were measured."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from governor.core import IS_COMPILED

RESULTS = Path(__file__).with_name("results")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; numbers are the caller's to format."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def machine() -> str:
    """Return one line: processor, cores, kernel, Python, and how Governor's core was run."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = " ".join(line.partition(":")[2].split())
            break
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, core {'compiled' if IS_COMPILED else 'interpreted'}"
    )


PRODUCT = (":/governor", ":/signals", ":/policies", ":(exclude,top)governor/load")


def git(*words: str) -> str:
    """Return what git prints; nothing where there is no repository."""
    done = subprocess.run(
        ["git", *words],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def changed() -> str:
    """Return ``+`` if what is measured has uncommitted changes."""
    return "+" if git("status", "--porcelain", "--untracked-files=no", "--", *PRODUCT) else ""


def revision() -> str:
    """Return the short commit that was measured, with ``+`` for uncommitted changes."""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed()


def product_revision() -> str:
    """Return the last commit that changed what is measured, with ``+`` as above.

    Commits of benchmarks, tests and documents leave it as it is.
    """
    return (git("log", "-1", "--format=%h", "--", *PRODUCT) or "unknown") + changed()


def save(name: str, command: str, markdown: str, data: Mapping[str, Any]) -> None:
    """Write ``results/<name>.md`` and ``.json`` and print the Markdown."""
    RESULTS.mkdir(exist_ok=True)
    stamp = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    head = f"`python -m bench {command}`, {stamp}, commit {revision()}; {machine()}."
    text = f"{head}\n\n{markdown}\n"
    (RESULTS / f"{name}.md").write_text(text)
    payload = {"command": command, "measured": stamp, "commit": revision(), "machine": machine()}
    (RESULTS / f"{name}.json").write_text(json.dumps({**payload, **data}, indent=1) + "\n")
    print(f"\n{text}\n(written to {RESULTS}/{name}.md and .json)", flush=True)

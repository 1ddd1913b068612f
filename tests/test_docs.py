"""What the pages and docstrings name is there: files, commands, flags, modules."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from bench.__main__ import COMMANDS
from governor.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OURS = ("governor", "signals", "policies", "bench", "tests")

LINK = re.compile(r"\]\(([^)#\s]+)")
PATH = re.compile(r"`((?:governor|signals|policies|bench|tests|docs|examples)/[\w./-]+)`")
GOVERNOR = re.compile(r"(?<![\w/-])governor((?: +[^\s`#;)]+)+)")
BENCH = re.compile(r"python -m bench ([\w-]+)([^`\n|;)]*)")
FLAG = re.compile(r"--[a-z][\w-]*")
MODULE = re.compile(r":mod:`~?((?:governor|signals|policies|bench|tests)[\w.]*)`")
NAMED_FILE = re.compile(r"``((?:governor|signals|policies|tests)/[\w./-]+\.\w+)``")


@cache
def sources() -> dict[str, str]:
    """Return the text of each module of ours by its name."""
    found = {}
    for folder in OURS:
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path.read_text(encoding="utf-8")
    return found


@cache
def program() -> Any:
    """Return the command line as it is parsed."""
    return get_command(app)


def flags_of(words: list[str]) -> tuple[str, set[str]]:
    """Return the command that some words name, and which flags it takes."""
    command, name = program(), "governor"
    for word in words:
        if word not in getattr(command, "commands", {}):
            break
        command, name = command.commands[word], f"{name} {word}"
    return name, {flag for field in command.params for flag in field.opts} | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda x: x.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    """Every relative link, and every path of the source that is named."""
    text = page.read_text(encoding="utf-8")
    links = [x for x in LINK.findall(text) if "://" not in x]
    assert [x for x in links if not (page.parent / x).exists()] == []
    assert [x for x in PATH.findall(text) if not (ROOT / x).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda x: x.name)
def test_commands_take_the_flags_that_are_shown(page: Path) -> None:
    """Of ``governor`` and its commands, and of the benchmarks."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    wrong = []
    for words in GOVERNOR.findall(text):
        name, known = flags_of(re.sub(r"[\[\]|]", " ", words).split())
        if name != "governor":
            wrong += [f"{name} {x}" for x in FLAG.findall(words) if x not in known]
    for name, words in BENCH.findall(text):
        module = COMMANDS[name][0]
        whole = "".join(x for n, x in sources().items() if f"{n}.".startswith(f"{module}."))
        wrong += [f"bench {name} {x}" for x in FLAG.findall(words) if f'"{x}"' not in whole]
    assert wrong == []


def test_docstrings_name_modules_and_files_that_are_there() -> None:
    """A module that was renamed, or a test that was moved, is named by its new name."""
    wrong = []
    for module, text in sources().items():
        wrong += [f"{module}: {x}" for x in MODULE.findall(text) if x not in sources()]
        wrong += [f"{module}: {x}" for x in NAMED_FILE.findall(text) if not (ROOT / x).exists()]
    assert wrong == []

"""The examples are configurations that load."""

from __future__ import annotations

from pathlib import Path

import pytest

from governor.cli.describe import notes
from governor.config.load import load

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_every_example_loads_without_a_note(file: Path) -> None:
    """What we show is valid, and nothing in it is seldom meant."""
    assert list(notes(load(file, environ={}))) == []


def test_there_are_examples() -> None:
    """The folder is found."""
    assert EXAMPLES

"""The closed vocabulary, and the page that explains it."""

from __future__ import annotations

import re
from pathlib import Path

from policies.decision import Reason

PAGE = Path(__file__).resolve().parents[2] / "docs" / "policies.md"


def test_every_reason_is_explained() -> None:
    """The page has a row for each reason, and none for what does not exist."""
    table = PAGE.read_text().partition("## Reasons")[2].partition("\n## ")[0]
    named = {
        word.strip()
        for row in re.findall(r"^\| ([a-z_, ]+) \|", table, flags=re.MULTILINE)
        for word in row.split(",")
    } - {"reason"}
    assert named == {reason.value for reason in Reason}

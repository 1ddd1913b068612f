"""Files that a command writes its results to, checked before it does its work.

*Rule of this file*: nothing is opened: a run that fails later leaves an older result as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from governor.errors import Problem


def unwritable(files: Mapping[str, Path | None]) -> Iterator[Problem]:
    """Yield what is wrong with the files that flags name: no folder, or one file for two."""
    seen: dict[Path, str] = {}
    for flag, file in files.items():
        if file is None:
            continue
        place = file.resolve()
        if place.is_dir() or not place.parent.is_dir():
            yield Problem(flag, "", str(file), "must be a file in a folder that exists")
        elif place in seen:
            yield Problem(flag, "", str(file), f"must be another file than that of {seen[place]}")
        seen.setdefault(place, flag)

"""The embedded sample as the target of a storm that names none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def sample_if(is_needed: bool) -> Iterator[str]:
    """Yield the URL of a sample that lives as long as the block; empty if none is needed."""
    if not is_needed:
        yield ""
        return
    from governor.cli.sample import SampleChild

    child = SampleChild()
    try:
        yield child.wait_until_ready()
    finally:
        child.stop()

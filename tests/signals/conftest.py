"""Without a compiler the kernels are a thousand times slower: fewer examples, no long plays.

``NUMBA_DISABLE_JIT=1`` proves that kernels are plain Python too; how they
behave over hours of traffic is proven with the compiler.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

from signals.kernel import IS_COMPILED

EXAMPLES_PLAIN = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what plays minutes of traffic, and try fewer examples of the rest."""
    if IS_COMPILED:
        return
    for item in items:
        if item.get_closest_marker("long_play") is not None:
            item.add_marker(pytest.mark.skip(reason="plays minutes of traffic: needs the compiler"))
        function = getattr(item, "function", None)
        found = getattr(function, "_hypothesis_internal_use_settings", None)
        if found is not None and found.max_examples > EXAMPLES_PLAIN:
            fewer = settings(found, max_examples=EXAMPLES_PLAIN)
            function._hypothesis_internal_use_settings = fewer  # type: ignore[union-attr]

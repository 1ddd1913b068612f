"""docs/deployment.md names files and versions that are there."""

from __future__ import annotations

import re

import governor
from tests.deploy.files import KUBERNETES, LAYERS, ROOT

PAGE = ROOT / "docs" / "deployment.md"
TEXT = PAGE.read_text()


def test_links_and_paths_lead_somewhere() -> None:
    """Relative links, and paths in commands from the root of the source."""
    links = [x for x in re.findall(r"\]\(([^)#]+)", TEXT) if "://" not in x]
    assert len(links) >= 3
    assert all((PAGE.parent / link).exists() for link in links)
    paths = re.findall(r"(?<!/)\bexamples/deploy/[\w/.-]+", TEXT)
    assert len(paths) >= 3
    assert all((ROOT / path).exists() for path in paths)
    assert (ROOT / "examples/deploy/kubernetes/base/gateway").exists()  # named by URL


def test_every_layer_is_told_of() -> None:
    """Each overlay and component is named where an operator looks for it."""
    for layer in LAYERS:
        name = str(layer.relative_to(KUBERNETES))
        assert name in TEXT or f"or {layer.name}" in TEXT, name


def test_versions_are_this_one() -> None:
    """Images and tags of the commands."""
    versions = re.findall(r"governor:(\d[\w.]+)|ref=v([\w.]+)", TEXT)
    assert versions
    assert {x or y for x, y in versions} == {governor.__version__}

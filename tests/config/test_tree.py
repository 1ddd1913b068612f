"""Values that remember where they were written."""

from __future__ import annotations

from governor.config.tree import Origin, Tree, show


def build(data: object, *paths: tuple[str | int, ...]) -> Tree:
    """Return values that were written in a file."""
    return Tree(data, {path: Origin("f.yaml") for path in ((), *paths)})


def test_credentials_in_urls_are_masked() -> None:
    """A URL's user name and password are not shown."""
    assert show("http://me:pw@host/x") == "'http://***@host/x'"


def test_long_values_are_shortened() -> None:
    """An error stays readable."""
    assert len(show("x" * 1000)) < 90


def test_put_replaces_and_makes_sections() -> None:
    """An override makes the sections on its way and forgets the origins it replaces."""
    tree = build({"a": {"b": [1, 2]}}, ("a", "b", 0))
    tree.put(("a", "b"), ["x"], Origin("flag"))
    tree.put(("c", 0, "d"), 1, Origin("flag"))
    assert tree.data == {"a": {"b": ["x"]}, "c": [{"d": 1}]}
    assert tree.origin(("a", "b", 0)) == Origin("flag")


def test_put_beyond_the_next_index_is_a_problem() -> None:
    """Lists have no holes."""
    tree = build({"a": [1]})
    tree.put(("a", 3), 1, Origin("flag"))
    assert "next free index, 1" in tree.problems[0].message

"""YAML as values with their lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.config.tree import Origin, Tree
from governor.config.yaml_text import parse


def read(text: str, **environ: str) -> Tree:
    """Parse as the file f.yaml."""
    return parse(text, "f.yaml", environ)


def test_values_remember_their_lines() -> None:
    """Every key and list entry knows the line where it stands."""
    tree = read("a:\n  b: 1\n  c:\n    - x\n    - y\n")
    assert tree.data == {"a": {"b": 1, "c": ["x", "y"]}}
    assert tree.origin(("a", "b")) == Origin("f.yaml:2", "1")
    assert tree.origin(("a", "c", 1)) == Origin("f.yaml:5", "'y'")


def test_what_was_not_written_has_the_line_of_the_section_around_it() -> None:
    """A missing field is reported at its section, without a value."""
    assert read("a:\n  b: {c: 1}").origin(("a", "b", "d", 0)) == Origin("f.yaml:2")


@pytest.mark.parametrize(
    ("text", "value"),
    [("off", "off"), ("yes", "yes"), ("true", True), ("012", 12), ("1:30", "1:30"), ("~", None)]
    + [
        ("2001-01-01", "2001-01-01"),
        ("1.5", 1.5),
        ("0x10", "0x10"),
        ("", None),
        ("1_000", "1_000"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    """Only true and false are booleans; times, dates, off and yes stay words."""
    assert read(f"a: {text}").data == {"a": value}


def test_a_key_given_twice_is_reported_with_both_lines() -> None:
    """A repeated key is an error, not a silent overwrite."""
    (problem,) = read("a: 1\nb: 2\na: 3\n").problems
    assert (problem.where, problem.field) == ("f.yaml:3", "a")
    assert "line 1" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("a:\n\tb: 1", 2, "not tabs"),
        ("a: [::1]:8080", 1, "quote an IPv6 address"),
        ("a: 'x", 1, "YAML"),
        ("a: 1\n b: 2", 2, "YAML"),
        ("a: *nowhere", 1, "YAML"),
        ("a: 1\n---\nb: 2", 2, "YAML"),
    ],
)
def test_a_syntax_error_names_the_line_and_the_usual_cause(text: str, line: int, hint: str) -> None:
    """What YAML cannot read is one problem, with line and hint."""
    (problem,) = read(text).problems
    assert problem.where == f"f.yaml:{line}"
    assert hint in problem.message


def test_control_characters_are_one_problem() -> None:
    """Text that YAML does not allow at all is refused, not raised."""
    (problem,) = read("a: \x00").problems
    assert problem.where.startswith("f.yaml")


def test_merge_keys_bring_in_what_is_not_given() -> None:
    """<< takes a mapping or a list of them; explicit keys win, then the first source."""
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], z: 3}\nd: {<<: *a}\n"
    data = read(text).data
    assert data["c"] == {"x": 1, "y": 1, "z": 3}
    assert data["d"] == {"x": 1, "y": 1}


def test_a_document_that_contains_itself_is_refused() -> None:
    """Recursive aliases end in a problem, not in a recursion."""
    assert "contain itself" in read("a: &a [*a]").problems[0].message


def test_a_document_that_unfolds_to_a_huge_one_is_refused() -> None:
    """Repeated aliases cannot use up memory."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert any("huge" in problem.message for problem in read("\n".join(lines)).problems)


def test_tags_are_refused() -> None:
    """No tag can construct anything."""
    (problem,) = read("a: !!python/name:os.system x").problems
    assert "tags" in problem.message


def test_interpolated_text_is_shown_as_written() -> None:
    """A problem with a value from the environment shows the reference, not the value."""
    tree = read("a: http://${USER}@host", USER="secret")
    assert tree.data == {"a": "http://secret@host"}
    assert "secret" not in tree.origin(("a",)).shown


def test_a_value_of_a_variable_never_changes_the_structure() -> None:
    """Text from the environment is a scalar, whatever it contains."""
    assert read("a: ${X}", X="1\nb: 2").data == {"a": "1\nb: 2"}


@given(st.text(max_size=60))
def test_any_text_is_values_or_problems(text: str) -> None:
    """No text raises: it is read, or it is a problem."""
    tree = read(text)
    assert tree.data is None or not isinstance(tree.data, Tree)
    assert all(problem.where.startswith("f.yaml") for problem in tree.problems)

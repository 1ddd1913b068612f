"""Variables inside configured text."""

from __future__ import annotations

import pytest

from governor.config.interpolate import InterpolationError, interpolate


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("${A}", "one"),
        ("x${A}y${B}z", "xoneytwoz"),
        ("${NONE:-else}", "else"),
        ("${EMPTY:-else}", "else"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${A:-else}", "one"),
        ("$${A}", "${A}"),
        ("cost: $5", "cost: $5"),
    ],
)
def test_references_are_replaced_as_in_a_shell(text: str, result: str) -> None:
    """${NAME} is the variable, ${NAME:-x} has a default, $${ is a literal ${."""
    assert interpolate(text, {"A": "one", "B": "two", "EMPTY": ""}) == result


def test_a_value_is_not_interpolated_again() -> None:
    """What a variable holds is data: a reference in it stays as it is."""
    assert interpolate("${A}", {"A": "${B}", "B": "x"}) == "${B}"


def test_an_unset_variable_is_named_with_the_remedy() -> None:
    """Without a value and a default, the message names the variable and shows a default."""
    with pytest.raises(InterpolationError, match=r"NONE.*not set.*\$\{NONE:-default\}"):
        interpolate("${NONE}", {})


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A-b}", "${A B}"])
def test_a_malformed_reference_is_refused_with_the_allowed_forms(text: str) -> None:
    """A ${ that opens no reference is a mistake, never kept silently."""
    with pytest.raises(InterpolationError, match=r"\$\{NAME:-default\}"):
        interpolate(text, {"A": "x"})

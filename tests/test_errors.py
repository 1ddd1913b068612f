"""The tree of Governor's own errors."""

from __future__ import annotations

import errno
import re

import pytest

from governor import errors
from governor.errors import ConfigError, GovernorError, Problem

LEAVES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, GovernorError)
]


@pytest.mark.parametrize("kind", LEAVES)
def test_every_error_says_whose_fault_it_is_and_what_to_answer(kind: type[GovernorError]) -> None:
    """Each class has a fault, a stable word and a status that fits the fault."""
    assert kind.fault in ("caller", "upstream", "governor")
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.default_reason)
    expected = {"caller": range(400, 500), "upstream": range(502, 505), "governor": range(500, 501)}
    assert kind.default_status in expected[kind.fault]


def test_no_two_errors_share_a_word() -> None:
    """A reason names one kind of error."""
    words = [kind.default_reason for kind in LEAVES]
    assert len(words) == len(set(words))


def test_an_instance_can_be_more_exact() -> None:
    """Word and status of one error override those of its class."""
    error = errors.DownstreamError("too long", reason="head_too_large", status_hint=431)
    assert (error.reason, error.status_hint, str(error)) == ("head_too_large", 431, "too long")
    assert errors.DownstreamError("bad").status_hint == 400


def test_a_configuration_error_lists_every_problem() -> None:
    """Where, field, constraint and value, a line each."""
    error = ConfigError(Problem("f:1", "a.b", "'x'", "must be y"), Problem("f", "", "", "no"))
    assert str(error) == "f:1: a.b: must be y (is 'x')\nf: no"
    assert len(error.problems) == 2


def test_what_the_machine_refuses_is_the_operators() -> None:
    """Which field, which value, why, and what to do; other errors are not touched."""
    with pytest.raises(ConfigError) as caught, errors.opening("access_log.path", "/none/x"):
        raise PermissionError(errno.EACCES, "no")
    [problem] = caught.value.problems
    assert (problem.field, problem.value) == ("access_log.path", "/none/x")
    assert "Permission denied" in str(problem)
    assert isinstance(caught.value.__cause__, PermissionError)
    with pytest.raises(KeyError), errors.opening("access_log.path"):
        raise KeyError

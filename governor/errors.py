"""Errors that say whose fault it is and what to answer.

*Rule of this file*: the closed tree of what Governor itself raises. Errors of
other libraries are mapped to these once, at the rim, with ``from exc``.

::

    GovernorError
    ├── ConfigError              the operator's: what was configured
    ├── DownstreamError          the caller's: what it sent, or that it stopped sending
    └── UpstreamError            the service's: what it answered
        ├── UpstreamConnectError     nobody there, or the connection was refused or not trusted
        └── UpstreamTimeout          there, but too slow

A bug of Governor's own has no error here: it is counted where it is caught, and the
request goes through where it still can.

``reason`` is a stable word in snake case: the same in the answer's body, the
log and the metric label. ``status_hint`` is the HTTP status that fits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal, NamedTuple

Fault = Literal["caller", "upstream", "governor", "capacity"]


class GovernorError(Exception):
    """Root of everything that Governor raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: what is wrong, what is allowed, what to do.
    reason : str, optional
        A more exact word than the class's own.
    status_hint : int, optional
        A more exact status than the class's own.
    """

    fault: ClassVar[Fault] = "governor"
    default_reason: ClassVar[str] = "internal_error"
    default_status: ClassVar[int] = 500

    def __init__(
        self, message: str, *, reason: str | None = None, status_hint: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.status_hint = status_hint or self.default_status


class Problem(NamedTuple):
    """One thing that is wrong in a configuration."""

    where: str
    """``file:line``, the environment variable or the flag that the value came from."""
    field: str
    """Path of the field, as in ``upstreams.tools.endpoints[0]``; empty for the file itself."""
    value: str
    """The value as it may be shown; empty where there is none or where it must not be shown."""
    message: str
    """What is allowed and what to do."""

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        value = f" (is {self.value})" if self.value else ""
        return f"{self.where}: {field}{self.message}{value}"


class ConfigError(GovernorError):
    """What was configured cannot be run; every problem found is listed.

    Parameters
    ----------
    problems : Problem
        At least one.
    """

    default_reason = "bad_configuration"

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@contextmanager
def opening(field: str, value: str = "") -> Iterator[None]:
    """Open what a field of the configuration names; what the machine refuses is the operator's.

    Raises
    ------
    ConfigError
        In place of the ``OSError``: which field, and why not.
    """
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = f"cannot be opened: {reason}; choose another, or free it"
        raise ConfigError(Problem("this machine", field, value, message)) from error


class DownstreamError(GovernorError):
    """The caller sent what cannot be forwarded, or stopped sending."""

    fault = "caller"
    default_reason = "bad_request"
    default_status = 400


class UpstreamError(GovernorError):
    """The service answered what cannot be forwarded, or broke off."""

    fault = "upstream"
    default_reason = "upstream_error"
    default_status = 502


class UpstreamConnectError(UpstreamError):
    """No connection to the service: nobody there, refused, or not trusted."""

    default_reason = "upstream_connect_failed"


class UpstreamTimeout(UpstreamError):
    """The service is there and did not answer in time."""

    default_reason = "upstream_timeout"
    default_status = 504

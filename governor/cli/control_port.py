"""The control port of a running Governor: how it is named on the command line, and asked.

*Rule of this file*: one option, one parser, one way to ask; what comes back is the
caller's to read. Every failure is a :class:`NotThere` that says where was asked, what
was found, and which flag names another place.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from typing import Any, cast
from urllib.parse import urlsplit

from governor.config.durations import parse_address
from governor.errors import ConfigError, GovernorError, Problem

FORM = (
    'HOST:PORT, or the URL that `governor run` prints after "control": '
    "127.0.0.1:9090 or http://127.0.0.1:9090"
)
ASK_TIMEOUT_S = 5.0
POST_HEADERS = {"X-Governor-Write": "1", "Content-Type": "application/json"}
"""What a page of another site cannot send unasked; the control port insists on it."""

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""The control port is asked directly, whatever proxies the environment names."""


class NotThere(GovernorError):
    """Nothing that answers as a Governor's control port; the text says what was found."""


def control_url(text: str) -> str:
    """Return the URL, without a slash at its end, of a control port given as HOST:PORT or URL.

    Raises
    ------
    ConfigError
        If it is neither.

    Examples
    --------
    >>> control_url("localhost:9090"), control_url("https://ops.example/")
    ('http://localhost:9090', 'https://ops.example')
    """
    try:
        return _read(text.strip())
    except ValueError as exc:
        shown = "" if "@" in text else text  # a password is not shown
        raise ConfigError(Problem("--admin", "", shown, str(exc))) from None


def _read(text: str) -> str:
    scheme, is_url, rest = text.partition("://")
    if not is_url:
        scheme, rest = "http", text
    if scheme not in ("http", "https") or not rest.isascii() or any(c.isspace() for c in rest):
        raise ValueError(f"must be {FORM}")
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is no number, or half of an IPv6 address
        raise ValueError(f"must be {FORM}") from None
    if "@" in parts.netloc:
        raise ValueError(f"must not hold a user name or password: give {FORM}")
    if parts.path not in ("", "/") or "?" in rest or "#" in rest:
        raise ValueError(f"must end after the port: give {FORM}")
    if port == 0:
        raise ValueError(f"must name the port that was picked, not 0: give {FORM}")
    if not host or (port is None and not is_url):
        raise ValueError(f"must be {FORM}")
    if port is not None:
        try:
            return f"{scheme}://{parse_address(parts.netloc)}"
        except ValueError:
            raise ValueError(f"must be {FORM}") from None
    return f"{scheme}://{parts.netloc}"


def open_control(
    url: str, path: str, *, is_post: bool = False, timeout_s: float = ASK_TIMEOUT_S
) -> HTTPResponse:
    """Return the control port's answer, to be read and closed.

    Raises
    ------
    NotThere
    """
    method, headers = ("POST", POST_HEADERS) if is_post else ("GET", {})
    request = urllib.request.Request(url + path, headers=headers, method=method)
    try:
        return cast(HTTPResponse, _opener.open(request, timeout=timeout_s))
    except urllib.error.HTTPError as error:
        raise NotThere(_say_status(url, error)) from None
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise NotThere(
            f"nothing answers as a Governor does at {url}: {reason or type(error).__name__}\n"
            "Is `governor run` on, with its control port there? Name another by --admin HOST:PORT."
        ) from None


def ask(url: str, path: str, *, is_post: bool = False) -> Any:
    """Return the JSON that the control port answers.

    Raises
    ------
    NotThere
    """
    try:
        with open_control(url, path, is_post=is_post) as answer:
            return json.load(answer)
    except (OSError, ValueError, HTTPException):
        raise NotThere(not_governor(url)) from None


def not_governor(url: str) -> str:
    """Return what to say of something else that answers there."""
    return (
        f"{url} answers, but not as Governor's control port does: "
        "another server, or another version; name the control port by --admin HOST:PORT"
    )


def _say_status(url: str, error: urllib.error.HTTPError) -> str:
    """Return what an error's answer says: in Governor's words where it is Governor's."""
    try:
        told = json.load(error)["error"]
        if told["fault"] and told["reason"]:  # others have errors with messages, too
            return f"Governor at {url}: {told['message']}"
        return not_governor(url)
    except (OSError, ValueError, KeyError, TypeError, HTTPException):
        return f"{not_governor(url)} (status {error.code})"

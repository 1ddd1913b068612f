"""How governors of a fleet find each other.

*Rule of this file*: values and their bounds, as in ``model``.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from governor.config.fields import Name, Seconds
from governor.config.section import Section

SCHEMES = ("redis://", "rediss://", "unix://")


def _check_url(url: str) -> str:
    if not url.startswith(SCHEMES):
        raise ValueError("must begin with redis://, rediss:// (TLS) or unix:// (a socket's path)")
    if "@" in url:
        raise ValueError("must hold no user or password: set username and password, as ${NAME}")
    return url


class Fleet(Section):
    """Many governors share one view per upstream through Redis or Valkey.

    Limits, places and slots then hold for all of them together; a fixed limit is the whole
    fleet's. Without the server each goes on alone. Needs the extra: agent-governor[fleet].
    """

    url: Annotated[str, AfterValidator(_check_url)]
    """redis://HOST:PORT/DB, rediss:// for TLS, unix:// for a socket. Of a cluster any node."""
    name: Name = "governor"
    """Governors with the same name, and upstreams of the same name and endpoints, share a view.
    Default governor."""
    username: str | None = None
    """Of the server's access list, as ${NAME} from the environment. Default none."""
    password: SecretStr | None = None
    """As ${NAME} from the environment; never logged. Default none."""
    ca_file: str | None = None
    """Path of a PEM file with the authorities to trust, for rediss://. Default: the system's."""
    cluster: bool = False
    """Whether the server is a cluster: upstreams are spread over its nodes. Default false."""
    tick_s: Annotated[Seconds, Field(ge=0.02, le=1.0)] = 0.1
    """Between two exchanges, 20ms to 1s. Default 100ms: a view is never older than a hold lasts."""
    connect_timeout_s: Annotated[Seconds, Field(le=10.0)] = 0.25
    """To connect to the server. Default 250ms; no request waits for it."""
    timeout_s: Annotated[Seconds, Field(le=10.0)] = 0.1
    """Of one exchange. Default 100ms."""

    @property
    def shown_url(self) -> str:
        """The URL for people: without its query, which may hold options."""
        return self.url.partition("?")[0]

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if self.ca_file is not None and not self.url.startswith("rediss://"):
            raise ValueError("ca_file is for rediss:// only")
        return self

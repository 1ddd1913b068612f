"""What of a configuration decides at the gates, as a recording keeps it, and back.

*Rule of this file*: policies and what upstreams are told of limits; never an address, a
path of a file, a route or a listener. Endpoints are kept as their number.
"""

from __future__ import annotations

from typing import Any

from governor.config.model import Config, Upstream
from governor.config.policies import Policies

_SECRET = {"endpoints", "tls"}
"""Of an upstream, what tells where it is."""

PLACEHOLDER_HOST = "127.0.0.1"
"""Where endpoints are said to be when a configuration is made from a recording."""


def pack_config(config: Config) -> dict[str, Any]:
    """Return the part of a configuration that decides, as plain values."""
    return {
        "policies": config.policies.model_dump(mode="json", by_alias=True),
        "upstreams": {
            name: {
                "n_endpoints": len(upstream.endpoints),
                **upstream.model_dump(mode="json", by_alias=True, exclude=_SECRET),
            }
            for name, upstream in config.upstreams.items()
        },
    }


def unpack_config(packed: dict[str, Any]) -> Config:
    """Return a configuration that makes the same gates; it cannot be run.

    Fields that this version does not know are left out: a recording may come from another.
    """

    def known(values: dict[str, Any], section: type[Policies] | type[Upstream]) -> dict[str, Any]:
        names = {field.alias or name for name, field in section.model_fields.items()}
        return {name: value for name, value in values.items() if name in names}

    port = 1
    upstreams = {}
    for name, values in packed["upstreams"].items():
        n_endpoints = int(values["n_endpoints"])
        endpoints = [f"http://{PLACEHOLDER_HOST}:{port + idx}" for idx in range(n_endpoints)]
        port += n_endpoints
        upstreams[name] = {**known(values, Upstream), "endpoints": endpoints}
    return Config.model_validate(
        {
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "off"},
            "access_log": {"mode": "off"},
            "policies": known(packed["policies"], Policies),
            "upstreams": upstreams,
            "routes": [
                {"match": {"path_prefix": f"/{idx}"}, "upstream": name}
                for idx, name in enumerate(upstreams)
            ],
        }
    )

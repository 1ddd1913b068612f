"""What all sections of the configuration share.

*Rule of this file*: the manner of the models, no values. In YAML a key carries
no unit and its value does; the attribute says the unit.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


def key_of(attribute: str) -> str:
    """Return the YAML key of a model attribute: the unit suffix falls away.

    Examples
    --------
    >>> key_of("connect_timeout_s"), key_of("max_head_bytes"), key_of("mode")
    ('connect_timeout', 'max_head', 'mode')
    """
    return attribute.removesuffix("_bytes").removesuffix("_s")


class Section(BaseModel):
    """What all sections share: frozen, unknown keys refused, keys without units."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=key_of,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

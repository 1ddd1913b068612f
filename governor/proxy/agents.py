"""Which configured agent a flow is: by keyed hashes of what it sends.

*Rule of this file*: a rule's values are hashed when the process starts and dropped; a
flow is compared once, when it is first seen. Nothing here is kept of a request.

*Cost*: one look-up per request while agents are configured; nothing otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from governor.proxy.header_names import REQUEST_CODES

if TYPE_CHECKING:
    from governor.config.agents import AgentMatch
    from governor.core.registry import Registry

NO_RULE = 0


class _Keys(NamedTuple):
    """One rule's conditions; 0 and empty for none."""

    header: int
    value_key: int
    credential_keys: frozenset[int]


class AgentMatcher:
    """Compares flows with the configured agents.

    Parameters
    ----------
    matches : sequence of AgentMatch
        In the order of the registry's rules, which are numbered from 1.
    registry : Registry
        Told the rule of each flow.
    """

    __slots__ = ("_keys", "_matches", "_registry", "rule_of")

    def __init__(self, matches: Sequence[AgentMatch], registry: Registry) -> None:
        self._matches = tuple(matches)
        self._registry = registry
        self._keys: tuple[_Keys, ...] = ()
        self.rule_of = memoryview(registry.rule_of)  # type: ignore[arg-type]

    def hash_rules(self, salt: bytes) -> None:
        """Hash what the rules ask for with the reader's salt, and forget it."""
        self._keys = tuple(_hash(match, salt) for match in self._matches)
        self._matches = ()

    def meet(self, flow: int, tenant_key: int, values: dict[int, bytes], salt: bytes) -> None:
        """Find the rule of a flow that is seen for the first time."""
        for number, keys in enumerate(self._keys, 1):
            if keys.credential_keys and tenant_key not in keys.credential_keys:
                continue
            if keys.header:
                value = values.get(keys.header)
                if value is None or hash(salt + value) != keys.value_key:
                    continue
            self.rule_of[flow] = number
            return
        self.rule_of[flow] = NO_RULE


def _hash(match: AgentMatch, salt: bytes) -> _Keys:
    header = value_key = 0
    credentials: set[int] = set()
    if match.header is not None and match.value is not None:
        header = REQUEST_CODES[match.header.encode()]
        value_key = hash(salt + match.value.get_secret_value().encode())
    if match.credential is not None:
        sent = match.credential.get_secret_value().encode()
        credentials = {hash(salt + sent), hash(salt + b"Bearer " + sent)}
    return _Keys(header, value_key, frozenset(credentials))

"""What can be wrong between sections that are each valid.

*Rule of this file*: pure checks over a built configuration; each yields where
and what, so that the loader can name the line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from governor.config.durations import Address

if TYPE_CHECKING:
    from governor.config.model import Config

Path = tuple[str | int, ...]
"""Where a field stands: keys and indices from the top."""

Conflict = tuple[Path, str]
"""Where, and what is allowed there."""


def dotted(path: Path) -> str:
    """Return a path as people write it.

    Examples
    --------
    >>> dotted(("upstreams", "tools", "endpoints", 0))
    'upstreams.tools.endpoints[0]'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` or, with nothing close, the list of what is allowed.

    Examples
    --------
    >>> did_you_mean("connectTimeout", ["connect_timeout", "limit"])
    "did you mean 'connect_timeout'?"
    """
    names = sorted(allowed)
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).replace("-", "_").lower()
    close = difflib.get_close_matches(word, names, 1) or difflib.get_close_matches(snake, names, 1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"allowed: {', '.join(names)}" if names else "nothing is allowed here"


def find_unknown_upstreams(
    routed: Iterable[tuple[int, str]], upstreams: Iterable[str]
) -> Iterator[Conflict]:
    """Yield the routes (index, name of upstream) that lead nowhere."""
    known = list(upstreams)
    for idx, name in routed:
        if name not in known:
            hint = did_you_mean(name, known)
            yield ("routes", idx, "upstream"), f"must name one of the upstreams; {hint}"


def find_conflicts(config: Config) -> Iterator[Conflict]:
    """Yield everything that contradicts something else in ``config``."""
    if not config.routes:
        yield ("routes",), "must say which requests go where, as there are several upstreams"
    yield from find_unknown_upstreams(
        ((idx, route.upstream) for idx, route in enumerate(config.routes)), config.upstreams
    )
    yield from _find_bad_fallbacks(config)
    yield from _find_hidden_routes(config)
    yield from _find_contradictions(config)
    yield from _find_bad_envelopes(config)
    own: dict[Address, str] = {}
    for path, address in _own_addresses(config):
        if address.port and address in own:
            yield path, f"must differ from {own[address]}: one address can be listened on once"
        own.setdefault(address, dotted(path))
    yield from _find_loops(config, own)


def _find_bad_fallbacks(config: Config) -> Iterator[Conflict]:
    """Yield fallbacks that are unknown, never asked, or lead back to where they began."""
    upstreams = config.upstreams
    for name, upstream in upstreams.items():
        where = ("upstreams", name, "fallback")
        if upstream.fallback is None:
            continue
        if upstream.fallback not in upstreams:
            hint = did_you_mean(upstream.fallback, [x for x in upstreams if x != name])
            yield where, f"must name another of the upstreams; {hint}"
        elif upstream.reroute == "off" or config.policies.reroute == "off":
            yield where, "must be left out where reroute is off: nothing tells when to use it"
        else:
            seen: list[str] = []
            step: str | None = name
            while step in upstreams and step not in seen:
                seen.append(step)
                step = upstreams[step].fallback
            if step == name:
                yield where, f"must not lead back: {' to '.join([*seen, name])}"


def _find_bad_envelopes(config: Config) -> Iterator[Conflict]:
    """Yield envelopes that name unknown upstreams, and agents of the same name."""
    envelopes: list[tuple[Path, tuple[str, ...] | None]] = [
        (("agents", idx), agent.upstreams) for idx, agent in enumerate(config.agents)
    ]
    if config.agents_default is not None:
        envelopes.append((("agents_default",), config.agents_default.upstreams))
    for path, upstreams in envelopes:
        for idx, name in enumerate(upstreams or ()):
            if name not in config.upstreams:
                hint = did_you_mean(name, config.upstreams)
                yield (*path, "upstreams", idx), f"must name one of the upstreams; {hint}"
    names = [agent.name for agent in config.agents]
    for idx, name in enumerate(names):
        if name in names[:idx]:
            yield ("agents", idx, "name"), f"must differ from agents[{names.index(name)}].name"


def _own_addresses(config: Config) -> Iterator[tuple[Path, Address]]:
    for idx, listener in enumerate(config.listeners):
        yield ("listeners", idx, "address"), listener.parsed
    if config.admin.parsed is not None:
        yield ("admin", "address"), config.admin.parsed


def _find_hidden_routes(config: Config) -> Iterator[Conflict]:
    """Yield routes that can never be reached: an earlier one has the same conditions."""
    for idx, route in enumerate(config.routes):
        for earlier in range(idx):
            if config.routes[earlier].match == route.match:
                yield (
                    ("routes", idx, "match"),
                    f"must differ from routes[{earlier}].match, which takes these requests",
                )
                break


def _find_contradictions(config: Config) -> Iterator[Conflict]:
    """Yield options of a route that exclude each other."""
    for idx, route in enumerate(config.routes):
        where = ("routes", idx)
        if route.coalesce and route.on_leave == "cancel":
            yield (
                (*where, "coalesce"),
                "must be false with on_leave: cancel: the call of one who leaves is others' too",
            )
        if route.coalesce and route.match.methods and not {"GET", "HEAD"} & {*route.match.methods}:
            yield (*where, "coalesce"), "must be false: the route takes neither GET nor HEAD"
        for key, is_on in (("coalesce", route.coalesce), ("absorb", route.absorb_s > 0)):
            if is_on and not route.governed:
                yield (*where, key), "must be off with governed: false, which never holds a request"
        own = route.policies
        if own.model_fields_set and not route.governed:
            yield (*where, "policies"), "must be left out with governed: false: none would act"
        upstream = config.upstreams.get(route.upstream)
        if own.max_wait_s is not None:
            if route.absorb_s > own.max_wait_s:
                yield (*where, "absorb"), "must not exceed policies.max_wait of its route"
        elif upstream is not None and route.absorb_s > upstream.max_wait_s:
            yield (
                (*where, "absorb"),
                f"must not exceed max_wait of upstream {route.upstream}: no request waits longer",
            )


def _find_loops(config: Config, own: dict[Address, str]) -> Iterator[Conflict]:
    """Yield endpoints that are Governor's own address: it would call itself for ever."""
    for name, upstream in config.upstreams.items():
        for idx, endpoint in enumerate(upstream.addresses):
            mine = own.get(Address(endpoint.host, endpoint.port))
            if mine is not None:
                yield (
                    ("upstreams", name, "endpoints", idx),
                    f"must not be Governor's own {mine}: it would call itself",
                )

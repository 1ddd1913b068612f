"""The most specific route takes a request, by no other reading of its path than one."""

from __future__ import annotations

import doctest
from types import SimpleNamespace
from typing import Any, cast

import pytest

from governor.config.model import Match
from governor.config.model import Route as RouteConfig
from governor.proxy import router as router_module
from governor.proxy.router import Route, Router
from tests.proxy.heads import head_of


def _route(name: str, **match: Any) -> Route:
    config = RouteConfig(match=Match(**match), upstream="tools")
    return Route(config, cast(Any, None), (), name)


def _find(routes: list[Route], *fields: bytes, **kwargs: bytes) -> str | None:
    found = Router(routes).match(head_of(*fields, **kwargs))
    return found.name if found else None


def test_examples() -> None:
    """The examples in the docstrings hold."""
    assert doctest.testmod(router_module).failed == 0


def test_a_catch_all_takes_everything() -> None:
    """With one catch-all route there is nothing to look at."""
    routes = [_route("all")]
    assert _find(routes) == "all"
    assert _find(routes, target=b"*", method=b"OPTIONS") == "all"
    assert _find([*routes, _route("second")]) == "all"


def test_no_route_takes_it() -> None:
    """Then there is no answer but Governor's own."""
    assert _find([_route("v1", path_prefix="/v1")], target=b"/v2") is None
    assert _find([]) is None


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (b"/v1", "v1"),
        (b"/v1/", "v1"),
        (b"/v1?x", "v1"),
        (b"/v1/x", "v1"),
        (b"/v1/messages/1", "messages"),
        (b"/v10", "all"),
        (b"/V1/x", "all"),
        (b"/", "all"),
    ],
)
def test_the_longest_prefix_wins_on_segment_borders(target: bytes, name: str) -> None:
    """Whatever the order of the configuration, and never in the middle of a segment."""
    routes = [
        _route("all"),
        _route("v1", path_prefix="/v1/"),
        _route("messages", path_prefix="/v1/messages"),
    ]
    assert _find(routes, target=target) == name
    assert _find(routes[::-1], target=target) == name


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (b"/open/../admin", "all"),
        (b"/open/%2e%2e/admin", "all"),
        (b"/open/%252e%252e/admin", "all"),
        (b"/open/..;x=1/admin", "all"),
        (b"/open/..\\admin", "all"),
        (b"/open%2f..%2fadmin", "all"),
        (b"//open/x", "all"),
        (b"/./open/x", "all"),
        (b"/%6fpen/x", "all"),
        (b"/open//x", "open"),
        (b"/open/a%2Fb", "open"),
        (b"/open/a;b", "open"),
        (b"/open/.well-known", "open"),
        (b"/open/a/../b", "open"),
        (b"/open/%zz", "open"),
    ],
)
def test_a_path_with_two_readings_must_match_in_both(target: bytes, name: str) -> None:
    """Dots, doubled slashes and encodings cannot carry a request into another's prefix."""
    routes = [
        _route("all"),
        _route("open", path_prefix="/open"),
        _route("admin", path_prefix="/admin"),
    ]
    assert _find(routes, target=target) == name


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"a.example", "exact"),
        (b"A.Example:81", "exact"),
        (b"a.example.", "exact"),
        (b"b.example", "all"),
        (b"a.example.evil", "all"),
    ],
)
def test_an_exact_host_comes_before_any(host: bytes, name: str) -> None:
    """By name, without port, in any case; and before a longer prefix on any host."""
    routes = [_route("prefix", path_prefix="/x"), _route("all"), _route("exact", host="a.example")]
    assert _find(routes, host=b"Host: " + host) == name
    if name == "exact":
        assert _find(routes, host=b"Host: " + host, target=b"/x") == "exact"


def test_a_suffix_takes_what_is_below_it() -> None:
    """The star stands for one label or more, not for none; the longer suffix wins."""
    routes = []
    for name, host in (("any", "*.example"), ("deep", "*.a.example"), ("exact", "b.a.example")):
        match = Match.model_construct(host=host, path_prefix="/", headers={}, methods=())
        config = RouteConfig.model_construct(
            match=match, upstream="tools", host="auto", on_leave="keep", governed=True
        )
        routes.append(Route(config, cast(Any, None), (), name))
    for host_name, name in (
        (b"x.example", "any"),
        (b"x.y.example", "any"),
        (b"x.a.example", "deep"),
        (b"b.a.example", "exact"),
        (b"example", None),
        (b"xexample", None),
    ):
        assert _find(routes, host=b"Host: " + host_name) == name


def test_methods_and_headers() -> None:
    """All conditions must hold; a route with more of them comes before one with fewer."""
    routes = [
        _route("all"),
        _route("post", methods=("POST",)),
        _route("beta", methods=("POST",), headers={"X-Stage": "beta"}),
    ]
    assert _find(routes) == "all"
    assert _find(routes, method=b"POST") == "post"
    assert _find(routes, b"x-stage: beta", method=b"POST") == "beta"
    assert _find(routes, b"x-stage: Beta", method=b"POST") == "post"
    assert _find(routes, b"x-stage: beta") == "all"


def test_the_order_of_the_configuration_decides_among_equals() -> None:
    """Two routes with the same conditions: the first one takes the request."""
    routes = [_route("one", path_prefix="/a"), _route("two", path_prefix="/a")]
    assert _find(routes, target=b"/a") == "one"


@pytest.mark.parametrize(
    ("choice", "is_tls", "keeps"),
    [
        ("auto", False, True),
        ("auto", True, False),
        ("preserve", True, True),
        ("rewrite", False, False),
    ],
)
def test_which_host_goes_on(choice: Any, is_tls: bool, keeps: bool) -> None:
    """Auto rewrites for https only: certificates and virtual hosts need the endpoint's name."""
    config = RouteConfig(upstream="tools", host=choice)
    pool = SimpleNamespace(address=SimpleNamespace(is_tls=is_tls))
    assert Route(config, cast(Any, None), ()).keeps_host(cast(Any, pool)) is keeps


def test_a_route_knows_its_parts() -> None:
    """What the exchange asks of it."""
    config = RouteConfig(upstream="tools", on_leave="cancel", governed=False)
    route = Route(config, cast(Any, "gate"), cast(Any, ["pool"]))
    assert (route.name, route.upstream, route.gate) == ("tools", "tools", "gate")
    assert (route.pools, route.on_leave, route.is_governed) == (("pool",), "cancel", False)

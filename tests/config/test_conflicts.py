"""What contradicts what, and near misses of names."""

from __future__ import annotations

import pytest

from governor.config.conflicts import did_you_mean, dotted, find_conflicts
from governor.config.load import load
from governor.config.model import Admin, Config, Listener, Match, Route, Upstream


def build(**changes: object) -> Config:
    """Build without checking the whole, so that the checks can be looked at alone."""
    parts = {
        "listeners": (Listener(),),
        "admin": Admin(),
        "upstreams": {"a": Upstream(endpoints=("http://a",))},
        "routes": (Route(upstream="a"),),
    }
    return Config.model_construct(None, **{**parts, **changes})


def test_a_sound_configuration_has_no_conflict() -> None:
    """Nothing is found where nothing is wrong."""
    assert list(find_conflicts(build())) == []


def test_a_route_to_nowhere_is_found_with_the_near_miss() -> None:
    """An unknown upstream's name comes with the name that was meant."""
    upstreams = {"tools": Upstream(endpoints=("http://a",))}
    (found,) = find_conflicts(build(upstreams=upstreams, routes=(Route(upstream="tool"),)))
    assert found[0] == ("routes", 0, "upstream")
    assert "did you mean 'tools'?" in found[1]


@pytest.mark.parametrize(
    ("fallbacks", "reroute", "part"),
    [
        ({"a": "b", "b": "c"}, "on", None),
        ({"a": "bb"}, "on", "did you mean 'b'?"),
        ({"a": "a"}, "on", "a to a"),
        ({"a": "b", "b": "c", "c": "a"}, "on", "a to b to c to a"),
        ({"a": "b"}, "off", "reroute is off"),
    ],
)
def test_a_fallback_leads_on(fallbacks: dict[str, str], reroute: str, part: str | None) -> None:
    """It names another upstream, never leads back, and needs what tells when to use it."""
    upstreams = {
        name: Upstream(endpoints=(f"http://{name}",), fallback=fallbacks.get(name), reroute=reroute)
        for name in "abc"
    }
    found = list(find_conflicts(build(upstreams=upstreams)))
    assert bool(found) == bool(part)
    if part is not None:
        assert found[0][0] == ("upstreams", "a", "fallback")
        assert part in found[0][1]


def test_a_loop_of_others_is_their_own() -> None:
    """Who falls back into a loop is not blamed for it, and the check ends."""
    names = {"a": "b", "b": "c", "c": "b"}
    upstreams = {
        name: Upstream(endpoints=(f"http://{name}",), fallback=to) for name, to in names.items()
    }
    found = list(find_conflicts(build(upstreams=upstreams)))
    assert [path[1] for path, _ in found] == ["b", "c"]


def test_one_address_cannot_be_listened_on_twice() -> None:
    """Two listeners, or a listener and the control plane, need different addresses."""
    both = (Listener(address="127.0.0.1:1"), Listener(address="127.0.0.1:1"))
    assert [path for path, _ in find_conflicts(build(listeners=both))] == [
        ("listeners", 1, "address")
    ]
    same = build(admin=Admin(address="127.0.0.1:8080"))
    assert [path for path, _ in find_conflicts(same)] == [("admin", "address")]


def test_port_zero_never_collides() -> None:
    """Free ports are different ports."""
    both = (Listener(address="127.0.0.1:0"), Listener(address="127.0.0.1:0"))
    assert list(find_conflicts(build(listeners=both))) == []


def test_an_endpoint_that_is_governor_itself_is_a_loop() -> None:
    """Sending requests to one's own listener or control plane is refused."""
    for own in ("http://127.0.0.1:8080", "http://127.0.0.1:9090"):
        (found,) = find_conflicts(build(upstreams={"a": Upstream(endpoints=(own,))}))
        assert found[0] == ("upstreams", "a", "endpoints", 0)
        assert "call itself" in found[1]


def test_a_route_hidden_by_an_earlier_one_is_found() -> None:
    """Two routes with the same conditions: the second is never reached."""
    match = Match(path_prefix="/v1")
    routes = (Route(upstream="a", match=match), Route(upstream="a", match=match))
    (found,) = find_conflicts(build(routes=routes))
    assert found[0] == ("routes", 1, "match")


@pytest.mark.parametrize(
    ("word", "meant"),
    [("polices", "policies"), ("connectTimeout", "connect_timeout"), ("max-wait", "max_wait")],
)
def test_near_misses_are_recognised_across_spellings(word: str, meant: str) -> None:
    """Typing errors, camel case and dashes lead to the key that was meant."""
    assert f"did you mean '{meant}'?" in did_you_mean(
        word, ["policies", "connect_timeout", "max_wait", "limit"]
    )


def test_with_nothing_close_the_allowed_names_are_listed() -> None:
    """A word that resembles nothing gets the list."""
    assert did_you_mean("zzz", ["b", "a"]) == "allowed: a, b"
    assert did_you_mean("zzz", []) == "nothing is allowed here"


def test_paths_are_written_as_people_write_them() -> None:
    """Indices in brackets, names with dots."""
    assert dotted(("a", 0, "b", "c")) == "a[0].b.c"
    assert dotted(()) == ""


def test_the_loader_and_programs_share_the_checks() -> None:
    """A configuration that loads has no conflicts left."""
    assert list(find_conflicts(load(flags={"upstream": "http://a"}, environ={}))) == []


@pytest.mark.parametrize(
    ("route", "key"),
    [
        ({"coalesce": True, "on_leave": "cancel"}, "coalesce"),
        ({"coalesce": True, "match": Match(methods=("POST",))}, "coalesce"),
        ({"coalesce": True, "governed": False}, "coalesce"),
        ({"absorb": "1s", "governed": False}, "absorb"),
        ({"absorb": "31s"}, "absorb"),
        ({"absorb": "3s", "policies": {"max_wait": "2s"}}, "absorb"),
        ({"governed": False, "policies": {"hold": "off"}}, "policies"),
    ],
)
def test_options_of_a_route_that_exclude_each_other(route: dict[str, object], key: str) -> None:
    """What could never act, or would act on others, is refused with the reason."""
    (found,) = find_conflicts(build(routes=(Route.model_validate({"upstream": "a", **route}),)))
    assert found[0] == ("routes", 0, key)
    assert "must" in found[1]


def test_options_of_a_route_that_go_together() -> None:
    """Sharing and waiting out, for any methods among which is a safe one."""
    match = Match(methods=("GET", "POST"))
    route = Route(upstream="a", coalesce=True, absorb_s=2.0, match=match)
    assert list(find_conflicts(build(routes=(route,)))) == []

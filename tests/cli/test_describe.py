"""A configuration in words."""

from __future__ import annotations

from typing import Any

import pytest

from governor.cli.describe import describe, notes
from governor.config.model import Config

OWN = {"max_wait": "5s", "patience": "8s", "urgency": 6}


def words(**sections: Any) -> str:
    """Describe a configuration with one upstream, unless another is given."""
    data = {"upstreams": {"a": {"endpoints": ["http://a:1"]}}, **sections}
    return "\n".join(describe(Config.model_validate(data), "x.yaml"))


def test_the_zero_configuration_says_everything_that_matters() -> None:
    """Where it listens, where requests go, what it learns, how it logs and stops."""
    text = words()
    assert text.startswith("x.yaml is valid.")
    for part in ("127.0.0.1:8080", "127.0.0.1:9090", "http://a:1", "every request", "learn how"):
        assert part in text
    assert "note:" not in text


@pytest.mark.parametrize(
    ("sections", "part"),
    [
        ({"policies": {"mode": "observe"}}, "change nothing"),
        ({"admin": {"address": "off"}}, "no control plane"),
        ({"access_log": {"mode": "off"}}, "No access log"),
        ({"workers": 3}, "Serve with 3 processes, and one more that decides for all of them."),
        ({"workers": "auto"}, "as many processes as there are cores"),
        ({"access_log": {"mode": "all", "path": "/x.log"}}, "every request, to /x.log"),
        ({"upstreams": {"a": {"endpoints": ["http://a"], "limit": 7}}}, "at most 7 requests"),
        ({"upstreams": {"a": {"endpoints": ["http://a", "http://b"]}}}, "take the cheaper"),
        (
            {
                "upstreams": {
                    "a": {"endpoints": ["http://a"], "fallback": "b"},
                    "b": {"endpoints": ["http://b"]},
                },
                "routes": [{"upstream": "a"}],
            },
            "fall back to b",
        ),
        ({"routes": [{"upstream": "a", "affinity": "X-Session"}]}, "together by header x-session"),
        ({"policies": {"hold": "observe"}}, "no more, what it would be to let those who come by"),
        ({"policies": {"contain": "govern"}}, "Keep places for brief calls"),
        ({}, "Hold calls of one path and method, of which none is answered while others are"),
        ({}, "Send away what still waits on behalf of a request whose caller has left"),
        ({}, "Let requests wait that are more a second than an upstream is found to accept"),
        ({"policies": {"contain": "observe"}}, "no more, what it would be to hold calls of one"),
        ({"policies": {"contain": "off"}}, "Never send away what still waits on behalf"),
        ({"policies": {"limit": "off"}}, "Never let requests wait that are more a second"),
        ({"policies": {"hold": "off"}}, "Never let those who come by themselves"),
        ({"policies": {"limit": "observe"}}, "no more, what it would be to let requests wait"),
        ({"policies": {"limit": "off"}}, "upstreams get whatever comes"),
        ({"policies": {"slots": "off"}}, "Never give each caller"),
        ({"policies": {"absorb": "observe"}}, "no more, what it would be to wait refusals out"),
        ({"policies": {"coalesce": "observe"}}, "no more, what it would be to let identical"),
        ({"policies": {"reroute": "observe"}}, "no more, what it would be to choose the cheaper"),
        ({"policies": {"acceleration": "off"}}, "Never let demand grow"),
        ({"routes": [{"upstream": "a", "policies": {"hold": "off"}}]}, "hold is off here"),
        (
            {"routes": [{"upstream": "a", "policies": OWN}]},
            "a wait of 5s at the longest, patience of 8s where its caller does not say, urgency 6",
        ),
        ({"policies": {"holdback_share": 0.02}}, "Leave 2.0% of the callers ungoverned"),
        (
            {"upstreams": {"a": {"endpoints": ["http://a"], "acceleration": 1.5}}},
            "by a factor of 1.5 a minute",
        ),
        ({"routes": [{"upstream": "a", "governed": False}]}, "never held"),
        ({"routes": [{"upstream": "a", "on_leave": "cancel"}]}, "cancelled when its caller"),
        ({"routes": [{"upstream": "a", "host": "rewrite"}]}, "Host rewritten"),
        ({"routes": [{"upstream": "a", "absorb": "2s"}]}, "refusals of up to 2s waited out"),
        ({"routes": [{"upstream": "a", "coalesce": True}]}, "share one call"),
        (
            {"routes": [{"upstream": "a", "match": {"methods": ["get"], "path_prefix": "/v1"}}]},
            "(GET under /v1)",
        ),
        ({"routes": [{"upstream": "a", "match": {"host": "b.c"}}]}, "for host b.c"),
    ],
)
def test_each_choice_has_its_words(sections: dict[str, Any], part: str) -> None:
    """What is chosen is said."""
    assert part in words(**sections)


def test_what_observes_is_said_once() -> None:
    """In observe mode nothing is promised; a policy that is off is not said to act."""
    observed = words(policies={"mode": "observe"})
    for act in ("Hold calls of one path", "Send away what still waits", "more a second"):
        assert act not in observed
    assert words(policies={"limit": "off"}).count("more a second") == 1


def test_values_of_headers_are_not_shown() -> None:
    """A route may match on a secret."""
    match = {"headers": {"x-key": "swordfish"}}
    text = words(routes=[{"upstream": "a", "match": match}])
    assert "x-key" in text
    assert "swordfish" not in text


@pytest.mark.parametrize(
    ("sections", "part"),
    [
        ({"admin": {"address": "0.0.0.0:1"}}, "no authentication"),
        ({"admin": {"address": "admin.example:1"}}, "no authentication"),
        ({"routes": [{"upstream": "a", "match": {"path_prefix": "/v1"}}]}, "answered 404"),
        (
            {
                "upstreams": {"a": {"endpoints": ["http://a"]}, "b": {"endpoints": ["http://b"]}},
                "routes": [{"upstream": "a"}],
            },
            "b is not used",
        ),
        (
            {"upstreams": {"a": {"endpoints": ["https://a"], "tls": {"verify": False}}}},
            "not verified",
        ),
    ],
)
def test_what_is_seldom_meant_is_noted(sections: dict[str, Any], part: str) -> None:
    """Allowed but unusual choices are pointed out."""
    data = {"upstreams": {"a": {"endpoints": ["http://a:1"]}}, **sections}
    assert any(part in note for note in notes(Config.model_validate(data)))


def test_loopback_by_name_is_not_noted() -> None:
    """Localhost is as private as 127.0.0.1."""
    data = {"upstreams": {"a": {"endpoints": ["http://a"]}}, "admin": {"address": "localhost:1"}}
    assert list(notes(Config.model_validate(data))) == []


def test_a_recorder_is_named_with_its_file() -> None:
    """Who checks a configuration learns that a file will be written, and when."""
    plain = Config.single("http://127.0.0.1:9000")
    assert "Record" not in "\n".join(describe(plain, "x"))
    recorder = plain.recorder.model_copy(update={"mode": "storm", "file": "a.rec"})
    words = "\n".join(describe(plain.model_copy(update={"recorder": recorder}), "x"))
    assert "when a storm is foreseen or when asked, to a.rec." in words

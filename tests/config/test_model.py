"""The configuration as values."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from governor.config import model
from governor.config.model import (
    Admin,
    Config,
    Listener,
    Match,
    Policies,
    Route,
    Section,
    Upstream,
)
from governor.config.section import key_of

SECTIONS = [
    value
    for value in vars(model).values()
    if isinstance(value, type) and issubclass(value, Section) and value is not Section
]
DURATION_S = st.integers(1, 86_400_000).map(lambda ms: ms / 1_000)


def test_zero_configuration_needs_an_upstream_only() -> None:
    """One URL is a whole configuration: loopback only, everything sent to it, governing."""
    config = Config.single("http://127.0.0.1:9000")
    assert [str(listener.parsed) for listener in config.listeners] == ["127.0.0.1:8080"]
    assert config.admin.address == "127.0.0.1:9090"
    assert [route.upstream for route in config.routes] == list(config.upstreams)
    assert config.policies.mode == "govern"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_is_frozen_and_closed(section: type[BaseModel]) -> None:
    """Values cannot be changed and unknown keys are refused, in every section."""
    assert section.model_config.get("frozen")
    assert section.model_config.get("extra") == "forbid"


@pytest.mark.parametrize("section", SECTIONS)
def test_keys_are_distinct_without_their_units(section: type[BaseModel]) -> None:
    """Dropping the unit from a name never makes two fields the same key."""
    keys = [key_of(attribute) for attribute in section.model_fields]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_quantity_carries_its_unit(section: type[BaseModel]) -> None:
    """Floats are seconds or shares and say so; sizes say bytes."""
    for attribute, field in section.model_fields.items():
        is_unit = attribute.endswith(("_s", "_share"))
        options = get_args(field.annotation) or (field.annotation,)  # a value or nothing
        kind = getattr(options[0], "__origin__", options[0])
        assert kind is float or not is_unit, attribute
        assert is_unit or field.annotation is not float, attribute


@given(
    endpoints=st.lists(
        st.sampled_from(["http://a:1", "https://b", "http://[::1]:9"]), min_size=1, unique=True
    ),
    seconds=DURATION_S,
    n_head_bytes=st.integers(1_024, 1 << 20),
    limit=st.one_of(st.just("auto"), st.integers(1, 1_000_000)),
    mode=st.sampled_from(["govern", "observe"]),
)
def test_a_written_configuration_reads_back_the_same(
    endpoints: list[str], seconds: float, n_head_bytes: int, limit: object, mode: str
) -> None:
    """Any configuration, dumped as the file's keys and texts, is the same when read."""
    upstream = Upstream.model_validate(
        {"endpoints": endpoints, "max_wait_s": seconds, "limit": limit}
    )
    listener = Listener(max_head_bytes=n_head_bytes, head_timeout_s=seconds)
    config = Config(
        listeners=(listener,),
        upstreams={"a": upstream},
        policies=Policies.model_validate({"mode": mode}),
    )
    text = config.model_dump(mode="json", by_alias=True)
    assert Config.model_validate(text, by_alias=True, by_name=False) == config


@pytest.mark.parametrize("value", [0, -1, 1_000_001, "x", "", "-1", True, 1.5, None])
def test_a_limit_is_auto_or_a_positive_whole_number(value: object) -> None:
    """Nothing else is taken as a limit."""
    with pytest.raises(ValidationError, match="must be auto, or a whole number"):
        Upstream.model_validate({"endpoints": ["http://a"], "limit": value})


@pytest.mark.parametrize("value", [32, "32"])
def test_a_limit_given_as_text_is_a_number(value: object) -> None:
    """Environment variables are text; their numbers count."""
    assert Upstream.model_validate({"endpoints": ["http://a"], "limit": value}).limit == 32


def test_header_names_and_methods_are_compared_in_one_case() -> None:
    """Names are lower case, methods upper case, whatever was written; values stay."""
    match = Match.model_validate({"headers": {"X-Env": "Prod"}, "methods": ["get"], "host": "A.B"})
    assert match == Match(headers={"x-env": "Prod"}, methods=("GET",), host="a.b")


@pytest.mark.parametrize(
    "match",
    [{"host": "http://a"}, {"host": "a:1"}, {"path_prefix": "v1"}, {"path_prefix": "/a b"}]
    + [{"path_prefix": "/a?b"}, {"methods": ["GE T"]}, {"headers": {"a b": "c"}}],
)
def test_conditions_that_can_never_hold_are_refused(match: dict[str, object]) -> None:
    """A route's condition must be something that a request can meet."""
    with pytest.raises(ValidationError, match="must"):
        Match.model_validate(match)


def test_off_means_no_control_plane() -> None:
    """The control plane's address can be off."""
    assert Admin.model_validate({"address": "off"}).parsed is None


def test_slots_are_never_later_than_a_minute() -> None:
    """SDKs ignore a Retry-After above 60 s, so none can be configured."""
    with pytest.raises(ValidationError):
        Policies(slot_horizon_s=61)


def test_contradictions_are_refused_in_programs_too() -> None:
    """A configuration built in Python is checked as a whole, like one from a file."""
    with pytest.raises(ValidationError, match=r"routes\[0\].upstream must name one"):
        Config(upstreams={"a": Upstream(endpoints=("http://a",))}, routes=(Route(upstream="b"),))


def test_several_upstreams_need_routes() -> None:
    """With more than one upstream Governor does not guess."""
    upstream = Upstream(endpoints=("http://a",))
    with pytest.raises(ValidationError, match="which requests go where"):
        Config(upstreams={"a": upstream, "b": upstream})

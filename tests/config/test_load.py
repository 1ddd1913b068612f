"""Files, environment and flags, and everything that can be wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from governor.config.load import load
from governor.config.model import Config
from governor.errors import ConfigError, Problem

Write = Callable[[str], Path]
MINIMAL = "upstreams: {a: {endpoints: [http://a:1]}}\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write text to governor.yaml and return the path."""

    def to_file(text: str) -> Path:
        path = tmp_path / "governor.yaml"
        path.write_text(text)
        return path

    return to_file


def problems(file: Path | None, **sources: dict[str, str]) -> list[Problem]:
    """Return what is wrong."""
    with pytest.raises(ConfigError) as caught:
        load(file, **{"environ": {}, **sources})
    return list(caught.value.problems)


def test_a_file_needs_an_upstream_only(write: Write) -> None:
    """The smallest file is one upstream with one endpoint; it is the zero-configuration form."""
    config = load(write(MINIMAL), environ={})
    assert config.upstreams["a"].endpoints == ("http://a:1",)
    assert [route.upstream for route in config.routes] == ["a"]


def test_flags_win_over_environment_over_file_over_defaults(write: Write) -> None:
    """Each source overrides the ones before it, field by field."""
    file = write(MINIMAL + "policies: {mode: observe, patience: 1s, slot_horizon: 2s}\n")
    environ = {"GOVERNOR__policies__patience": "3s", "GOVERNOR__policies__mode": "observe"}
    policies = load(file, environ=environ, flags={"mode": "govern"}).policies
    assert (policies.slot_horizon_s, policies.patience_s, policies.mode) == (2.0, 3.0, "govern")
    assert load(file, environ={}).policies.mode == "observe"


def test_the_environment_reaches_every_kind_of_field(write: Write) -> None:
    """Indices reach into lists, names into mappings; lists are comma-separated or YAML."""
    file = write(MINIMAL + "routes: [{upstream: a}]\n")
    environ = {
        "GOVERNOR__LISTENERS__0__ADDRESS": "[::1]:0",
        "GOVERNOR__upstreams__A__max_wait": "2s",
        "GOVERNOR__upstreams__b__endpoints": "http://b:1, http://b:2",
        "GOVERNOR__routes__1": "{upstream: b, match: {path_prefix: /b}}",
        "GOVERNOR__admin__address": "off",
        "GOVERNOR__drain_timeout": "1s",
    }
    config = load(file, environ=environ)
    assert config.listeners[0].address == "[::1]:0"
    assert config.upstreams["a"].max_wait_s == 2.0
    assert config.upstreams["b"].endpoints == ("http://b:1", "http://b:2")
    assert config.routes[1].match.path_prefix == "/b"
    assert config.admin.address is None
    assert config.drain_timeout_s == 1.0


def test_the_upstream_flag_stands_for_the_only_upstream(write: Write) -> None:
    """--upstream replaces the endpoints of the one upstream and keeps its other fields."""
    file = write("upstreams: {a: {endpoints: [http://a, http://b], max_wait: 2s}}\n")
    upstream = load(file, flags={"upstream": "http://c:1"}, environ={}).upstreams["a"]
    assert upstream.endpoints == ("http://c:1",)
    assert upstream.max_wait_s == 2.0


def test_the_upstream_flag_with_several_upstreams_is_refused(write: Write) -> None:
    """Governor does not guess which upstream a flag means."""
    file = write(
        "upstreams: {a: {endpoints: [http://a]}, b: {endpoints: [http://b]}}\n"
        "routes: [{upstream: a}]\n"
    )
    (problem,) = problems(file, flags={"upstream": "http://c"})
    assert problem.where == "--upstream"
    assert "a, b" in problem.message


def test_all_problems_are_shown_at_once_with_line_field_and_remedy(write: Write) -> None:
    """One run names every mistake: where, which field, what it is, what is allowed."""
    file = write(
        "listeners:\n"
        "  - {address: 127.0.0.1, head_timeout: 2 days}\n"
        "polices: {}\n"
        "upstreams:\n"
        "  a:\n"
        "    endpoints: [ftp://a, http://b/v1]\n"
        "    limit: many\n"
        "    limit: 3\n"
        "routes:\n"
        "  - {upstream: b, on_leave: kep, governed: perhaps}\n"
        "  - {match: {headers: {x-n: 3}}}\n"
        "drain_timeout: 0s\n"
    )
    found = problems(file)
    places = {
        "listeners[0].address": (2, "HOST:PORT"),
        "listeners[0].head_timeout": (2, "200ms"),
        "polices": (3, "did you mean 'policies'?"),
        "upstreams.a.endpoints[0]": (6, "http://"),
        "upstreams.a.endpoints[1]": (6, "end after the port"),
        "upstreams.a.limit": (8, "given twice"),
        "routes[0].upstream": (10, "must name one of the upstreams"),
        "routes[0].on_leave": (10, "keep or cancel"),
        "routes[0].governed": (10, "true or false"),
        "routes[1].upstream": (11, "must be given"),
        "routes[1].match.headers.x-n": (11, "quotes"),
        "drain_timeout": (12, "more than 0s"),
    }
    assert {p.field for p in found} == set(places)
    for problem in found:
        line, words = places[problem.field]
        assert problem.where == f"{file}:{line}", problem
        assert words in problem.message, problem
    assert [p.where for p in found] == sorted((p.where for p in found), key=_line)


def _line(where: str) -> int:
    return int(where.rpartition(":")[2])


def test_keys_carry_no_unit(write: Write) -> None:
    """connect_timeout_s is the attribute, not the key."""
    (problem,) = problems(
        write("upstreams: {a: {endpoints: [http://a], connect_timeout_s: 1s}}"),
    )
    assert "did you mean 'connect_timeout'?" in problem.message


def test_contradictions_have_lines_too(write: Write) -> None:
    """What is wrong between sections is reported where it is written."""
    (problem,) = problems(write(MINIMAL + "admin:\n  address: 127.0.0.1:8080\n"))
    assert problem.where.endswith(":3")
    assert "listeners[0].address" in problem.message


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("upstreams: {a: {endpoints: ['${SECRET}']}}", {"SECRET": "swordfish"}),
        ("upstreams: {a: {endpoints: [http://a], limit: '${SECRET}'}}", {"SECRET": "swordfish"}),
        (MINIMAL, {"GOVERNOR__policies__mode": "swordfish"}),
        (MINIMAL, {"GOVERNOR__upstreams__a__endpoints": "[http://u:swordfish@a]"}),
        (MINIMAL, {"GOVERNOR__upstreams__a": "{endpoints: [swordfish"}),
        (MINIMAL, {"GOVERNOR__routes": "[{upstream: swordfish}]"}),
        (MINIMAL + "policies: {patience: '${SECRET}'}", {"SECRET": "swordfish"}),
        ("upstreams: {a: {endpoints: ['http://u:swordfish@a']}}", {}),
    ],
)
def test_no_secret_is_shown(write: Write, text: str, environ: dict[str, str]) -> None:
    """Values of the environment and credentials in URLs never appear in a message."""
    found = problems(write(text), environ=environ)
    assert found
    assert "swordfish" not in "\n".join(map(str, found))


def test_problems_of_the_environment_and_flags_name_them() -> None:
    """An override is reported by the name of its variable or flag."""
    found = problems(
        None, environ={"GOVERNOR__polices__mode": "x"}, flags={"upstream": "x", "mode": "fast"}
    )
    assert {(p.where, p.field) for p in found} == {
        ("environment GOVERNOR__polices__mode", "polices"),
        ("--upstream", "upstreams.default.endpoints[0]"),
        ("--mode", "policies.mode"),
    }


def test_an_unset_variable_is_one_problem(write: Write) -> None:
    """A missing variable is reported once, not again as a bad value."""
    (problem,) = problems(write("upstreams: {a: {endpoints: ['${NOPE}']}}"))
    assert "NOPE" in problem.message


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfe\xfd", "UTF-8"), (b"a: [", "YAML"), (b"- a\n", "section"), (b"x", "section")]
    + [(b"", "must be given"), (b"a" * (4 << 20 | 1), "4 MiB"), (b"# nothing\n", "must be given")],
)
def test_a_file_that_is_no_configuration_is_one_problem(
    tmp_path: Path, content: bytes, words: str
) -> None:
    """Whatever is in the file, the answer is a problem with the file's name."""
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    (problem,) = problems(file)
    assert problem.where.startswith(str(file))
    assert words in problem.message


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, name: str) -> None:
    """No such file, or a folder: said, with the name."""
    (problem,) = problems(tmp_path / name)
    assert "readable file" in problem.message


def test_a_byte_order_mark_is_not_content(write: Write) -> None:
    """Editors that write one do no harm."""
    assert load(write("\ufeff" + MINIMAL), environ={}).upstreams


def test_certificates_must_be_readable(write: Write, tmp_path: Path) -> None:
    """A missing certificate is found before anything starts."""
    key = tmp_path / "key.pem"
    key.write_text("x")
    text = f"listeners: [{{tls: {{certificate: {tmp_path}/none.pem, key: {key}}}}}]\n"
    (problem,) = problems(write(MINIMAL + text))
    assert problem.field == "listeners[0].tls.certificate"


def test_the_authorities_of_a_fleets_server_must_be_readable(write: Write, tmp_path: Path) -> None:
    """Else every exchange would fail, and each governor go on alone."""
    fleet = f"fleet: {{url: 'rediss://h:1', ca_file: {tmp_path}/none.pem}}\n"
    (problem,) = problems(write(MINIMAL + fleet))
    assert problem.field == "fleet.ca_file"


def test_nothing_but_flags_is_enough() -> None:
    """Without a file the flags make the configuration."""
    flags = {"upstream": "http://a:1", "listen": "[::1]:1", "admin": "off", "mode": "observe"}
    assert load(flags=flags, environ={}) == Config.single("http://a:1", "[::1]:1", None, "observe")


YAML_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "upstreams",
                    "routes",
                    "listeners",
                    "admin",
                    "policies",
                    "match",
                    "endpoints",
                    "tls",
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(value=YAML_VALUES)
@example(value={"[key]": None})
@example(value={"admin": {"[key]": 1}, "upstreams": {"[key]": {}}})
def test_any_document_loads_or_is_explained(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    """Whatever the structure, the loader returns a configuration or problems with words."""
    import yaml

    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    found: tuple[Problem, ...] = ()
    try:
        load(file, environ={})
    except ConfigError as exc:
        found = exc.problems
    assert all(problem.message and problem.where for problem in found)

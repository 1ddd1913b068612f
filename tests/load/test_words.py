"""What the flags of a storm mean, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from governor.errors import ConfigError
from governor.load.plan import Closed, Fanout, Herd, Open, Ramp
from governor.load.words import Storm, Words
from governor.load.words_reader import read_words

TARGET = "http://127.0.0.1:9000"


def read(**flags: Any) -> Storm:
    """Return the storm of some flags."""
    return read_words(Words(**{"target": TARGET, **flags}))


def test_the_defaults_are_one_short_run_of_one_group() -> None:
    """Fifty OpenAI agents that think for a second, on the target alone, without a gate."""
    storm = read()
    (group,) = storm.groups
    assert (group.n_agents, group.shape, group.client) == (50, Closed(1.0), "openai")
    assert group.path == "/v1/chat/completions"
    assert [side.name for side in storm.sides] == ["target"]
    assert (storm.rounds, storm.needs_gate, storm.total_s) == (1, False, 20.0)


def test_a_comparison_takes_turns_twice() -> None:
    """Two sides, two rounds, one seed a round, so that both meet the same demand."""
    storm = read(compare="http://127.0.0.1:9001", seed=7)
    assert [side.url for side in storm.sides] == [TARGET, "http://127.0.0.1:9001"]
    assert (storm.rounds, storm.total_s) == (2, 80.0)
    assert [storm.plan((TARGET,), number).seed for number in (0, 1)] == [7, 8]


def test_at_once_each_side_gets_the_whole_load() -> None:
    """Two targets in one fleet: twice the agents and rate, in pairs."""
    storm = read(compare="http://127.0.0.1:9001", at_once=True, open_hz=30.0)
    plan = storm.plan(tuple(side.url for side in storm.sides), 0)
    assert (plan.groups[0].n_agents, plan.groups[0].shape) == (100, Open(60.0))
    assert plan.is_paired
    assert storm.rounds == 1


def test_governed_is_a_comparison_behind_a_gate() -> None:
    """The same target twice, once behind a Governor; thresholds look at that side."""
    storm = read(governed=True, fail_if=("p99>2s", "bare:p99>9s"))
    assert [side.is_governed for side in storm.sides] == [False, True]
    assert storm.needs_gate
    assert storm.plan((TARGET,), 0).is_numbered
    assert [storm.sides_of(threshold) for threshold in storm.thresholds] == [
        ["governed"],
        ["bare"],
    ]


def test_clients_and_shapes_share_the_agents() -> None:
    """Every pair of shape and client gets an equal part, with the client's own path."""
    storm = read(agents=40, client="openai,anthropic", shapes=("steady", "herd:2s"))
    assert [group.name for group in storm.groups] == [
        "steady openai",
        "steady anthropic",
        "herd:2s openai",
        "herd:2s anthropic",
    ]
    assert [group.n_agents for group in storm.groups] == [10] * 4
    assert storm.groups[1].path == "/v1/messages"
    assert storm.groups[2].shape == Herd(2.0, 0.02)


def test_short_words_for_clients() -> None:
    """Mix is several, tenacity and boto are one."""
    assert len(read(client="mix").groups) > 4
    assert [g.client for g in read(client="tenacity,boto").groups] == [
        "tenacity-exponential",
        "boto3",
    ]


def test_an_open_rate_is_shared_by_what_takes_one() -> None:
    """Groups without a period share the rate; a herd beside them keeps its own rhythm."""
    storm = read(open_hz=60.0, client="openai,vercel", shapes=("steady", "herd"))
    shapes = [group.shape for group in storm.groups]
    assert shapes == [Open(30.0), Open(30.0), Herd(4.0, 0.02), Herd(4.0, 0.02)]


def test_a_ramp_rises_and_falls_over_the_run() -> None:
    """A fifth of the rate at both ends, the whole in the middle third."""
    (group,) = read(shapes=("ramp",), seconds=30.0, agents=60, think="2s").groups
    assert group.shape == Ramp(((0.0, 6.0), (10.0, 30.0), (20.0, 30.0), (30.0, 6.0)))


def test_a_fan_outs_agents_are_its_widest_level() -> None:
    """The number of agents is that of all, so planners are few."""
    (group,) = read(shapes=("fanout:1-20-100",), agents=600).groups
    assert (group.n_agents, group.shape) == (6, Fanout((1, 20, 100), 5.0))


def test_a_stall_is_a_steady_load_and_a_fault() -> None:
    """The fault begins after three tenths and lasts a fifth of the time."""
    storm = read(shapes=("stall",), seconds=10.0, faults=("limit:32",))
    assert storm.groups[0].shape == Closed(1.0)
    limit, stall = storm.parsed_faults
    assert limit.value == 32
    assert (stall.kind, stall.start_s, stall.end_s) == ("stall", 3.0, 5.0)


def test_a_noisy_tenant_wants_ten_shares() -> None:
    """Ten tenants with keys of their own; the last has ten times the agents."""
    groups = read(shapes=("noisy",), agents=190).groups
    assert [group.n_agents for group in groups] == [10] * 9 + [100]
    assert len({group.key for group in groups}) == 10
    rates = [group.shape for group in read(shapes=("noisy",), agents=190, open_hz=19.0).groups]
    assert rates == [Open(1.0)] * 9 + [Open(10.0)]


def test_what_the_calls_are_like_reaches_every_group() -> None:
    """Patience, retries, key, path, headers, names and streams are the groups'."""
    (group,) = read(
        timeout="2s",
        retries=3,
        key="secret",
        path="/tools/search?q=x",
        method="get",
        headers=("X-One: 1",),
        anonymous=True,
        stream=True,
    ).groups
    assert (group.timeout_s, group.max_retries, group.key) == (2.0, 3, "secret")
    assert (group.method, group.path) == ("GET", "/tools/search?q=x")
    assert group.headers == (("X-One", "1"),)
    assert (group.is_named, group.is_stream) == (False, True)


@pytest.mark.parametrize(
    ("flags", "flag", "told"),
    [
        ({"target": "127.0.0.1:9000"}, "--target", "http://HOST"),
        ({"target": "http://10.0.0.1:1"}, "--target", "--allow-remote"),
        ({"target": "http://example.com"}, "--target", "--allow-remote"),
        ({"target": "http://u:p@127.0.0.1"}, "--target", "--key"),
        ({"compare": "http://10.0.0.1:1"}, "--compare", "--allow-remote"),
        ({"compare": TARGET, "governed": True}, "--compare", "one comparison"),
        ({"agents": 0}, "--agents", "between 1 and 10,000"),
        ({"agents": 1, "client": "openai,vercel"}, "--agents", "too few"),
        ({"agents": 9, "shapes": ("noisy",)}, "--agents", "too few"),
        ({"client": "nobody"}, "--client", "openai"),
        ({"shapes": ("circle",)}, "--shape", "steady"),
        ({"shapes": ("herd:often",)}, "--shape", "200ms"),
        ({"shapes": ("fanout:2-4",)}, "--shape", "widths"),
        ({"shapes": ("fanout:x",)}, "--shape", "widths"),
        ({"shapes": ("steady:3",)}, "--shape", "steady"),
        ({"open_hz": 0.0}, "--open", "between"),
        ({"open_hz": 5.0, "shapes": ("herd",)}, "--open", "no rate"),
        ({"think": "0s", "shapes": ("ramp",)}, "--think", "ramp"),
        ({"think": "soon"}, "--think", "200ms"),
        ({"seconds": 0.5}, "--seconds", "between 1 and 600"),
        ({"seconds": float("nan")}, "--seconds", "between"),
        ({"rounds": 0}, "--rounds", "between"),
        ({"at_once": True}, "--at-once", "--compare"),
        ({"timeout": "0s"}, "--timeout", "above 0"),
        ({"retries": -1}, "--retries", "between"),
        ({"path": "tools"}, "--path", "a path from /"),
        ({"method": "BREW"}, "--method", "POST"),
        ({"headers": ("no colon",)}, "--header", "NAME: VALUE"),
        ({"key": "a\nb"}, "--key", "printable"),
        ({"key": "one", "shapes": ("noisy",)}, "--key", "{tenant}"),
        ({"faults": ("boom",)}, "--fault", "latency"),
        ({"faults": ("stall@25s",)}, "--fault", "over"),
        ({"fail_if": ("fast",)}, "--fail-if", "METRIC"),
        ({"fail_if": ("waste>1%",)}, "--fail-if", "--fault"),
        ({"fail_if": ("governed:p99>1s",)}, "--fail-if", "target"),
    ],
)
def test_bad_input_names_its_flag_and_what_is_allowed(
    flags: dict[str, Any], flag: str, told: str
) -> None:
    """Each problem says which flag, and what would be right."""
    with pytest.raises(ConfigError) as caught:
        read(**flags)
    found = [p for p in caught.value.problems if p.where == flag and told in p.message]
    assert found, caught.value.problems


def test_all_problems_are_told_at_once() -> None:
    """Nobody has to run it five times to find five mistakes."""
    with pytest.raises(ConfigError) as caught:
        read(agents=0, client="x", shapes=("y",), faults=("z",), fail_if=("w",))
    flags = [problem.where for problem in caught.value.problems]
    assert flags == ["--agents", "--fault", "--fail-if", "--client", "--shape"]


def test_a_problem_is_told_once() -> None:
    """What a flag and the group it sets both refuse is one problem, without a field's name."""
    with pytest.raises(ConfigError) as caught:
        read(agents=50_000_000, retries=-1, path="x")
    assert [str(problem) for problem in caught.value.problems] == [
        "--agents: must be between 1 and 10,000 (is 50,000,000)",
        "--retries: must be between 0 and 1,000 (is -1)",
    ]
    with pytest.raises(ConfigError, match=r"^--path: 'x' must be a path from / on$"):
        read(path="x")


def test_a_key_is_never_repeated() -> None:
    """A message about a bad key or header does not show it."""
    with pytest.raises(ConfigError) as caught:
        read(key="secret\n1", headers=("secret-without-colon",))
    assert "secret" not in str(caught.value)


def test_a_remote_service_needs_consent() -> None:
    """With it, the target is as good as any."""
    assert read(target="http://10.0.0.1:1", allow_remote=True).sides[0].url == "http://10.0.0.1:1"

"""What a fleet does: targets, groups of agents, their shapes, seed and time, as frozen values.

*Rule of this file*: words and their bounds only; nothing is drawn, opened or sent.

*Theory*: a closed model (``Closed``) lets a slow service lower the demand, as
agents do that wait for an answer before they think on; an open one (``Open``,
``Ramp``) does not, as arrivals from many independent sources. ``Herd`` and
``Fanout`` are what fleets of agents add to both: starts in step, and trees.

*Regime*: one core, up to about 5,000 agents and some thousand requests a second;
the record says how late the generator's own timers were.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from governor.load.laws import LAWS

MAX_AGENTS = 20_000
"""Above what one process drives without being late; a typing error ends here."""
MAX_SECONDS = 3_600.0
MAX_RATE_HZ = 50_000.0


def _require(is_true: bool, field: str, value: object, bound: str) -> None:
    """Raise a ValueError that names field, value and bound."""
    if not is_true:
        raise ValueError(f"{field}: {value!r} must be {bound}")


def _require_time(field: str, value: float, *, may_be_zero: bool = False) -> None:
    is_ok = math.isfinite(value) and (value >= 0 if may_be_zero else value > 0)
    _require(is_ok, field, value, "a time >= 0 s" if may_be_zero else "a time > 0 s")


def _require_rate(field: str, value: float) -> None:
    is_ok = 0 <= value <= MAX_RATE_HZ
    _require(is_ok, field, value, f"a rate between 0 and {MAX_RATE_HZ:,.0f} Hz")


def _require_line(field: str, text: str) -> None:
    """Raise a ValueError without the text, which may be a secret."""
    if not (text.isascii() and (text.isprintable() or not text)):
        raise ValueError(f"{field}: must be printable ASCII")


@dataclass(frozen=True)
class Closed:
    """Each agent: think for an exponential time, do a task to its end, think again.

    Attributes
    ----------
    think_s : float
        Mean time between the end of a task and the next, s, >= 0.
    """

    think_s: float

    def __post_init__(self) -> None:
        _require_time("think_s", self.think_s, may_be_zero=True)


@dataclass(frozen=True)
class Open:
    """Tasks begin as a Poisson process, whatever became of the others; agents are identities.

    Attributes
    ----------
    rate_hz : float
        Fresh tasks per second of the whole group, >= 0.
    """

    rate_hz: float

    def __post_init__(self) -> None:
        _require_rate("rate_hz", self.rate_hz)


@dataclass(frozen=True)
class Herd:
    """All agents begin a task within ``spread_s``, every ``every_s``; the busy ones skip.

    The first herd comes after one ``every_s``.

    Attributes
    ----------
    every_s, spread_s : float
        Period and width of the start, s; each start is uniform in the width.
    """

    every_s: float
    spread_s: float = 0.02

    def __post_init__(self) -> None:
        _require_time("every_s", self.every_s)
        _require_time("spread_s", self.spread_s, may_be_zero=True)
        _require(self.spread_s <= self.every_s, "spread_s", self.spread_s, "at most every_s")


@dataclass(frozen=True)
class Fanout:
    """Each agent is a planner: a root call, then children, then grandchildren, one tree a round.

    When a call has succeeded, its share of the next level begins, ``step_s`` apart.
    A round begins every ``every_s`` (the first after a uniform part of it); while the
    last one is not finished it is skipped. All but the root use fresh connections.

    Attributes
    ----------
    widths : tuple of int
        Calls per level, from the root (1).
    every_s, step_s : float
        Period of the rounds; distance of siblings' starts.
    """

    widths: tuple[int, ...] = (1, 20, 100)
    every_s: float = 5.0
    step_s: float = 0.0

    def __post_init__(self) -> None:
        is_tree = bool(self.widths) and self.widths[0] == 1 and min(self.widths) >= 1
        _require(is_tree, "widths", self.widths, "1 and then counts >= 1")
        _require(sum(self.widths) <= 10_000, "widths", self.widths, "at most 10,000 calls in all")
        _require_time("every_s", self.every_s)
        _require_time("step_s", self.step_s, may_be_zero=True)


@dataclass(frozen=True)
class Ramp:
    """Like ``Open`` with a rate that goes in straight lines from point to point.

    Attributes
    ----------
    points : tuple of (at_s, rate_hz)
        In order of time. Before the first and after the last point the rate stays.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        _require(bool(self.points), "points", self.points, "at least one (at_s, rate_hz)")
        instants = [at_s for at_s, _ in self.points]
        _require(instants == sorted(instants), "points", self.points, "in order of time")
        for at_s, rate_hz in self.points:
            _require_time("points", at_s, may_be_zero=True)
            _require_rate("points", rate_hz)


Shape = Closed | Open | Herd | Fanout | Ramp
SHAPES: dict[str, type[Shape]] = {
    "closed": Closed,
    "open": Open,
    "herd": Herd,
    "fanout": Fanout,
    "ramp": Ramp,
}
"""Each shape's name in a plan's JSON."""


@dataclass(frozen=True)
class Demand:
    """Work that a task asks for: lognormal, for services that obey ``x-bench-demand-s``.

    Attributes
    ----------
    mean_s : float
        Mean service time, s, > 0.
    sigma : float
        Of the logarithm; 0 for a constant.
    """

    mean_s: float
    sigma: float = 0.5

    def __post_init__(self) -> None:
        _require_time("mean_s", self.mean_s)
        _require(0 <= self.sigma <= 5, "sigma", self.sigma, "between 0 and 5")


@dataclass(frozen=True)
class Group:
    """Agents of one kind.

    Attributes
    ----------
    name : str
    n_agents : int
        For a fan-out: planners.
    shape : Shape
    client : str
        Whose retry law and headers: a name of ``laws.LAWS``.
    key : str
        API key, sent as ``Authorization: Bearer KEY``; ``{agent}`` in it becomes the
        agent's number. Empty: none.
    is_named : bool
        Whether agent and tree are told as the client tells them (and trees of a
        fan-out by ``traceparent``). False: nothing but the key, no retry markers either.
    is_marked : bool
        Whether retries carry the client's markers.
    timeout_s : float
        Patience: to the first byte of a stream, else to the whole answer.
    max_retries : int or None
        None: the client's default.
    path : str
        Appended to the target's URL.
    headers : tuple of (name, value)
        Added to every request.
    demand : Demand or None
        Drawn per task, the same for its retries.
    is_stream : bool
        Asks for a stream and reads it to its end.
    method : str
        Empty: POST.
    body : str or None
        None: a short one as the client sends it.
    """

    name: str
    n_agents: int
    shape: Shape
    client: str = "openai"
    key: str = ""
    is_named: bool = True
    is_marked: bool = True
    timeout_s: float = 60.0
    max_retries: int | None = None
    path: str = "/v1/chat/completions"
    headers: tuple[tuple[str, str], ...] = ()
    demand: Demand | None = None
    is_stream: bool = False
    method: str = ""
    body: str | None = None

    def __post_init__(self) -> None:
        bound = f"between 1 and {MAX_AGENTS:,}"
        _require(1 <= self.n_agents <= MAX_AGENTS, "n_agents", self.n_agents, bound)
        _require(self.client in LAWS, "client", self.client, f"one of {', '.join(LAWS)}")
        _require_time("timeout_s", self.timeout_s)
        is_count = self.max_retries is None or 0 <= self.max_retries <= 1_000
        _require(is_count, "max_retries", self.max_retries, "between 0 and 1,000")
        is_path = self.path.startswith("/") and self.path.isascii() and self.path.isprintable()
        _require(is_path and " " not in self.path, "path", self.path, "a path from / on")
        is_method = self.method in ("", "GET", "POST", "PUT", "PATCH", "DELETE")
        _require(is_method, "method", self.method, "GET, POST, PUT, PATCH or DELETE")
        _require_line("key", self.key)
        for line in (part for pair in self.headers for part in pair):
            _require_line("headers", line)


@dataclass(frozen=True)
class Plan:
    """A whole run.

    Attributes
    ----------
    targets : tuple of str
        Base URLs. With several, the agents of each group take them in turn (agent i
        calls target i mod n), all in one run.
    groups : tuple of Group
    seconds : float
        How long new tasks begin.
    drain_s : float
        How long after that the open ones may still end.
    seed : int
        Same seed, same plan: same schedule of fresh tasks and same demands.
    is_numbered : bool
        Whether each attempt carries its index in the record as ``x-bench-id``.
    is_paired : bool
        With several targets: whether the agents of each make the same draws, for a
        comparison of targets that share nothing. False: all agents are independent.
    """

    targets: tuple[str, ...]
    groups: tuple[Group, ...]
    seconds: float
    drain_s: float
    seed: int
    is_numbered: bool = False
    is_paired: bool = False

    def __post_init__(self) -> None:
        _require(bool(self.targets), "targets", self.targets, "at least one URL")
        _require(bool(self.groups), "groups", self.groups, "at least one group")
        n_agents = sum(group.n_agents for group in self.groups)
        _require(n_agents <= MAX_AGENTS, "groups", n_agents, f"at most {MAX_AGENTS:,} agents")
        _require_time("seconds", self.seconds)
        _require_time("drain_s", self.drain_s, may_be_zero=True)
        is_bounded = self.seconds + self.drain_s <= MAX_SECONDS
        _require(is_bounded, "seconds", self.seconds, f"with drain_s at most {MAX_SECONDS:,.0f} s")
        for group in self.groups:
            is_enough = group.n_agents >= len(self.targets) or len(self.targets) == 1
            _require(is_enough, "n_agents", group.n_agents, "at least the number of targets")
            is_even = not self.is_paired or group.n_agents % len(self.targets) == 0
            _require(is_even, "n_agents", group.n_agents, "a multiple of the number of targets")


def plan_to_json(plan: Plan) -> bytes:
    """Return a plan as JSON; a shape carries its name as ``kind``."""
    value = asdict(plan)
    for group, written in zip(plan.groups, value["groups"], strict=True):
        kind = next(name for name, cls in SHAPES.items() if isinstance(group.shape, cls))
        written["shape"] = {"kind": kind, **written["shape"]}
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def plan_from_json(text: bytes | str) -> Plan:
    """Return the plan that :func:`plan_to_json` wrote.

    Raises
    ------
    ValueError
        If it is no plan; names the field.
    """
    try:
        value: dict[str, Any] = orjson.loads(text)
        value["groups"] = tuple(_group(group) for group in value["groups"])
        value["targets"] = tuple(value["targets"])
        return Plan(**value)
    except (KeyError, TypeError) as exc:
        raise ValueError(f"not a plan: {exc}") from exc


def _group(value: dict[str, Any]) -> Group:
    shape = dict(value["shape"])
    kind = shape.pop("kind")
    if "widths" in shape:
        shape["widths"] = tuple(shape["widths"])
    if "points" in shape:
        shape["points"] = tuple((at_s, rate_hz) for at_s, rate_hz in shape["points"])
    value = {**value, "shape": SHAPES[kind](**shape)}
    value["headers"] = tuple((name, text) for name, text in value.get("headers", ()))
    if value.get("demand") is not None:
        value["demand"] = Demand(**value["demand"])
    return Group(**value)

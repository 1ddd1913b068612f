"""The flags of a storm, read: every problem at once, with its flag.

*Rule of this file*: text and numbers in, a checked value out, or all that is wrong
with what is allowed and what to do; nothing is started, opened or resolved.
"""

from __future__ import annotations

from typing import Any

from governor.config.durations import parse_duration_s
from governor.errors import ConfigError, Problem
from governor.load import targets
from governor.load.faults import Fault, parse_fault
from governor.load.laws import LAWS
from governor.load.plan import Closed, Fanout, Group, Herd, Open, Ramp, Shape
from governor.load.thresholds import Threshold, parse_threshold
from governor.load.wire import DIALECTS
from governor.load.words import Side, Storm, Words

MAX_AGENTS = 10_000
MAX_SECONDS = 600.0
MAX_OPEN_HZ = 20_000.0
MAX_ROUNDS = 20

CLIENTS = {
    "tenacity": ("tenacity-exponential",),
    "boto": ("boto3",),
    "mix": ("openai", "anthropic", "vercel", "litellm", "boto3", "tenacity-full-jitter"),
}
"""Short words for clients; everything else is a name of a law."""

SHAPES = ("steady", "herd", "fanout", "ramp", "stall", "noisy")
SHAPE_FORMS = "steady, herd, herd:4s, fanout, fanout:1-20-100, ramp, stall, noisy"
HERD_EVERY_S, HERD_SPREAD_S = 4.0, 0.02
FANOUT_WIDTHS, FANOUT_EVERY_S = (1, 4, 20), 5.0
RAMP_LOW = 0.2
STALL_START, STALL_LENGTH = 0.3, 0.2
"""When ``stall`` begins and how long it lasts, as shares of the time."""
N_TENANTS, NOISY_FACTOR = 10, 10


class Reader:
    """Collects problems while it reads."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.problems: list[Problem] = []

    def wrong(self, flag: str, value: object, message: str) -> None:
        """Note a problem, once."""
        problem = Problem(flag, "", str(value), message)
        if problem not in self.problems:
            self.problems.append(problem)

    def bounded(self, flag: str, value: float, low: float, high: float) -> None:
        """Note a number that is out of bounds."""
        if not low <= value <= high:
            shown = f"{value:,}" if isinstance(value, int) else f"{value:g}"
            self.wrong(flag, shown, f"must be between {low:,g} and {high:,g}")

    def duration_s(self, flag: str, text: str, *, may_be_zero: bool = False) -> float:
        """Return a duration; 1 where it is wrong."""
        try:
            seconds = parse_duration_s(text)
            if seconds > MAX_SECONDS or seconds < 0 or (seconds == 0 and not may_be_zero):
                raise ValueError(f"must be above 0 and at most {MAX_SECONDS:g}s")
            return seconds
        except ValueError as exc:
            self.wrong(flag, text, str(exc))
            return 1.0

    def url(self, flag: str, text: str) -> str:
        """Return a URL that may be loaded."""
        try:
            if not targets.is_loopback(text) and not self.words.allow_remote:
                self.wrong(
                    flag,
                    targets.parse(text).host,
                    "is not this machine. A load harness aimed at a service of somebody else's "
                    "is an attack: give --allow-remote if you are allowed to load it",
                )
        except ValueError as exc:
            self.wrong(flag, text, str(exc))
        return text.strip().rstrip("/")

    def clients(self) -> tuple[str, ...]:
        """Return names of laws."""
        found: list[str] = []
        for word in self.words.client.split(","):
            name = word.strip().lower()
            names = CLIENTS.get(name, (name,))
            unknown = [name for name in names if name not in LAWS]
            if unknown:
                known = ", ".join((*CLIENTS, *LAWS))
                self.wrong("--client", word, f"must be one or several, comma between, of: {known}")
            found += [name for name in names if name in LAWS]
        return tuple(dict.fromkeys(found)) or ("openai",)

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return pairs."""
        pairs = []
        for text in self.words.headers:
            name, colon, value = text.partition(":")
            if not colon or not name.strip() or not text.isascii() or not text.isprintable():
                self.wrong("--header", "", "must be NAME: VALUE in printable ASCII")
                continue
            pairs.append((name.strip(), value.strip()))
        return tuple(pairs)

    def sides(self) -> tuple[Side, ...]:
        """Return what is measured."""
        words = self.words
        target = self.url("--target", words.target)
        if words.compare and words.governed:
            self.wrong("--compare", words.compare, "one comparison at a time: drop --governed")
        if words.governed:
            return (Side("bare", target), Side("governed", target, is_governed=True))
        if words.compare:
            return (Side("target", target), Side("compare", self.url("--compare", words.compare)))
        return (Side("target", target),)

    def faults(self) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
        """Return the words for the gate and what they mean."""
        words = list(self.words.faults)
        if "stall" in self.words.shapes:
            start_s = STALL_START * self.words.seconds
            words.append(f"stall@{start_s:.3f}s+{STALL_LENGTH * self.words.seconds:.3f}s")
        parsed = []
        for word in words:
            try:
                fault = parse_fault(word)
            except ValueError as exc:
                self.wrong("--fault", word, str(exc))
                continue
            if fault.start_s >= self.words.seconds:
                self.wrong("--fault", word, "would begin when the run is over: see --seconds")
            parsed.append(fault)
        return tuple(words), tuple(parsed)

    def thresholds(self, sides: tuple[Side, ...], has_gate: bool) -> tuple[Threshold, ...]:
        """Return what sets the exit code."""
        found = []
        names = [side.name for side in sides]
        for text in self.words.fail_if:
            try:
                threshold = parse_threshold(text)
            except ValueError as exc:
                self.wrong("--fail-if", text, str(exc))
                continue
            if threshold.side and threshold.side not in names:
                self.wrong("--fail-if", text, f"the sides of this run are: {', '.join(names)}")
            if threshold.figure == "waste_ratio" and not has_gate:
                self.wrong("--fail-if", text, "waste is only known with --fault or --governed")
            found.append(threshold)
        return tuple(found)

    def shape(self, word: str, think_s: float, rate_hz: float) -> Shape | None:
        """Return a shape; None where it is wrong. Rates are of the whole group."""
        words = self.words
        name, _, value = word.partition(":")
        try:
            if name == "herd":
                every_s = self.duration_s("--shape", value) if value else HERD_EVERY_S
                return Herd(every_s, min(HERD_SPREAD_S, every_s))
            if name == "fanout":
                widths = tuple(int(part) for part in value.split("-")) if value else FANOUT_WIDTHS
                return Fanout(widths, FANOUT_EVERY_S)
        except ValueError:
            self.wrong("--shape", word, "widths are 1 and then counts, as in fanout:1-20-100")
            return None
        if value or name not in SHAPES:
            self.wrong("--shape", word, f"must be one of: {SHAPE_FORMS}")
            return None
        if name == "ramp":
            third_s, low_hz = words.seconds / 3.0, RAMP_LOW * rate_hz
            points = ((0.0, low_hz), (third_s, rate_hz), (2.0 * third_s, rate_hz))
            return Ramp((*points, (words.seconds, low_hz)))
        return Closed(think_s) if words.open_hz is None else Open(rate_hz)

    def groups(self) -> tuple[Group, ...]:
        """Return groups for every shape and client, with equal shares of the agents."""
        words = self.words
        think_s = self.duration_s("--think", words.think, may_be_zero=True)
        common = self._common()
        clients = self.clients()
        parts = [(shape, client) for shape in words.shapes for client in clients]
        takes_rate = [word for word in words.shapes if word.partition(":")[0] not in PERIODIC]
        if words.open_hz is not None and not takes_rate:
            self.wrong("--open", f"{words.open_hz:g}", "herd and fanout have no rate: drop it")
            return ()
        if words.open_hz is None and think_s == 0 and "ramp" in words.shapes:
            self.wrong("--think", words.think, "a ramp needs a think time above 0, or --open RATE")
            return ()
        found: list[Group] = []
        for index, (word, client) in enumerate(parts):
            n_agents = _part(words.agents, len(parts), index)
            if words.open_hz is None:
                rate_hz = n_agents / think_s if think_s else 0.0
            else:
                rate_hz = words.open_hz / (len(takes_rate) * len(clients))
            shape = self.shape(word, think_s, rate_hz)
            if shape is None:
                continue
            if n_agents < (1 if word != "noisy" else N_TENANTS):
                if words.agents >= 1:
                    self.wrong("--agents", words.agents, f"too few for {word} with {client}")
                continue
            name = " ".join(
                part
                for part, is_told in ((word, len(words.shapes) > 1), (client, len(clients) > 1))
                if is_told
            )
            made = {**common, "client": client, "path": words.path or DIALECTS[client].path}
            if isinstance(shape, Fanout):
                n_agents = max(1, n_agents // max(shape.widths))
            if word == "noisy":
                found += self._tenants(name, n_agents, shape, rate_hz, made)
            else:
                found.append(self._group(name or "agents", n_agents, shape, made))
        return tuple(found)

    def _common(self) -> dict[str, Any]:
        words = self.words
        return {
            "timeout_s": self.duration_s("--timeout", words.timeout),
            "max_retries": words.retries,
            "key": words.key,
            "is_named": not words.anonymous,
            "headers": self.headers(),
            "is_stream": words.stream,
            "method": words.method.upper(),
            "body": words.body,
        }

    def _group(self, name: str, n_agents: int, shape: Shape, made: dict[str, Any]) -> Group:
        try:
            return Group(name, n_agents, shape, **made)
        except ValueError as exc:
            field, _, message = str(exc).partition(": ")
            flag = FLAGS.get(field, f"--{field}")
            if flag in ("--header", "--key"):  # may be secret
                message = "must be printable ASCII"
            if flag not in {problem.where for problem in self.problems}:
                self.wrong(flag, "", message)
            return Group(name, 1, Closed(1.0))

    def _tenants(
        self, name: str, n_agents: int, shape: Shape, rate_hz: float, made: dict[str, Any]
    ) -> list[Group]:
        """Return ten tenants with keys of their own; the last has ten times a share."""
        key = self.words.key or "tenant-{tenant}"
        if "{tenant}" not in key:
            self.wrong("--key", "", "noisy needs a key for each tenant: put {tenant} into it")
        n_shares = N_TENANTS - 1 + NOISY_FACTOR
        groups = []
        for tenant in range(N_TENANTS):
            factor = NOISY_FACTOR if tenant == N_TENANTS - 1 else 1
            n_own = max(1, n_agents * factor // n_shares)
            own = Open(rate_hz * factor / n_shares) if isinstance(shape, Open) else shape
            tenant_name = "noisy tenant" if factor > 1 else f"tenant {tenant}"
            if name:
                tenant_name = f"{name} {tenant_name}"
            keyed = {**made, "key": key.replace("{tenant}", str(tenant))}
            groups.append(self._group(tenant_name, n_own, own, keyed))
        return groups


PERIODIC = ("herd", "fanout")
FLAGS = {
    "headers": "--header",
    "max_retries": "--retries",
    "timeout_s": "--timeout",
    "n_agents": "--agents",
}
"""Fields of a group whose flag has another name."""


def _part(total: int, n_parts: int, index: int) -> int:
    """Return one of equal shares of a whole number."""
    return total * (index + 1) // n_parts - total * index // n_parts


def read_words(words: Words) -> Storm:
    """Return the storm that the flags mean.

    Raises
    ------
    ConfigError
        With every problem, its flag, what is allowed and what to do.
    """
    reader = Reader(words)
    sides = reader.sides()
    reader.bounded("--agents", words.agents, 1, MAX_AGENTS)
    reader.bounded("--seconds", words.seconds, 1, MAX_SECONDS)
    if words.open_hz is not None:
        reader.bounded("--open", words.open_hz, 0.1, MAX_OPEN_HZ)
    if words.retries is not None:
        reader.bounded("--retries", words.retries, 0, 1_000)
    rounds = words.rounds if words.rounds is not None else (2 if len(sides) > 1 else 1)
    rounds = 1 if words.at_once and words.rounds is None else rounds
    reader.bounded("--rounds", rounds, 1, MAX_ROUNDS)
    if words.at_once and (words.governed or not words.compare):
        reader.wrong("--at-once", "", "is for --compare of two services that share nothing")
    fault_words, faults = reader.faults()
    has_gate = bool(fault_words) or words.governed
    thresholds = reader.thresholds(sides, has_gate)
    groups = reader.groups()
    if reader.problems:
        raise ConfigError(*reader.problems)
    return Storm(
        sides,
        groups,
        fault_words,
        faults,
        words.seconds,
        rounds,
        words.at_once,
        words.seed,
        thresholds,
    )

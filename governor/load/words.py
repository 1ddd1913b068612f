"""A storm in a user's words: what the flags allow, and the plan that they mean.

*Rule of this file*: the words and the value that they become; they are read in
:mod:`governor.load.words_reader`. Nothing is started, opened or resolved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from governor.load.faults import Fault
from governor.load.plan import Group, Open, Plan, Ramp
from governor.load.thresholds import Threshold

DRAIN_S = 10.0
"""What is open when the time is over may still end within this."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """What the flags say, unread."""

    target: str
    compare: str = ""
    governed: bool = False
    agents: int = 50
    client: str = "openai"
    shapes: tuple[str, ...] = ("steady",)
    open_hz: float | None = None
    think: str = "1s"
    faults: tuple[str, ...] = ()
    seconds: float = 20.0
    rounds: int | None = None
    at_once: bool = False
    timeout: str = "10s"
    retries: int | None = None
    key: str = ""
    method: str = ""
    path: str = ""
    body: str | None = None
    headers: tuple[str, ...] = ()
    stream: bool = False
    anonymous: bool = False
    seed: int = 1
    fail_if: tuple[str, ...] = ()
    allow_remote: bool = False


@dataclass(frozen=True)
class Side:
    """One of what is compared."""

    name: str
    url: str
    is_governed: bool = False


@dataclass(frozen=True)
class Storm:
    """A checked storm.

    Attributes
    ----------
    sides : tuple of Side
        In the order of the first round.
    groups : tuple of Group
    faults : tuple of str
        Words for the gates (they are read there again).
    parsed_faults : tuple of Fault
    seconds : float
    rounds : int
    at_once : bool
        Whether all sides run in one fleet at the same time.
    seed : int
    thresholds : tuple of Threshold
    """

    sides: tuple[Side, ...]
    groups: tuple[Group, ...]
    faults: tuple[str, ...]
    parsed_faults: tuple[Fault, ...]
    seconds: float
    rounds: int
    at_once: bool
    seed: int
    thresholds: tuple[Threshold, ...]

    @property
    def needs_gate(self) -> bool:
        """Whether a gate stands before the service: for faults, or to count for a Governor."""
        return bool(self.faults) or any(side.is_governed for side in self.sides)

    @property
    def total_s(self) -> float:
        """Seconds of load in all, without what drains."""
        return self.seconds * self.rounds * (1 if self.at_once else len(self.sides))

    def plan(self, urls: tuple[str, ...], round_number: int) -> Plan:
        """Return the plan of one fleet; the seed is the round's."""
        groups = self.groups
        if len(urls) > 1:
            groups = tuple(_widen(group, len(urls)) for group in groups)
        return Plan(
            urls,
            groups,
            self.seconds,
            DRAIN_S,
            self.seed + round_number,
            is_numbered=self.needs_gate,
            is_paired=len(urls) > 1,
        )

    def sides_of(self, threshold: Threshold) -> list[str]:
        """Return whose figures a threshold looks at."""
        if threshold.side:
            return [threshold.side]
        governed = [side.name for side in self.sides if side.is_governed]
        return governed or [side.name for side in self.sides]


def _widen(group: Group, n_targets: int) -> Group:
    """Return a group that gives each of several targets what one would get alone."""
    shape = group.shape
    if isinstance(shape, Open):
        shape = Open(shape.rate_hz * n_targets)
    elif isinstance(shape, Ramp):
        shape = Ramp(tuple((at_s, hz * n_targets) for at_s, hz in shape.points))
    return replace(group, n_agents=group.n_agents * n_targets, shape=shape)

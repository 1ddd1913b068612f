"""The curves: what density, old news and the governed share do to waste and goodput.

*Rule of this file*: which fleets are played, fixed before any was; values out. Pictures are
:mod:`bench.simulate.picture`'s, words :mod:`bench.simulate.page`'s.

*Definitions*. Density is agents a service of 40 slots of 0.1 s, as in ``bench density``: each
thinks 4 s, waits 2 s and repeats twice as OpenAI's SDK does. The curve runs from 10 to 25,000 of
them a service on 40 services, so to a million agents; further rows hold a million agents at
other densities. Goodput is a share of capacity, after the first four seconds.

Staleness is the delay of an exchange of views. A thousand governors stand before one service of
4,000 slots, so that each has four of its places, at 152 % load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import mean

from bench.density import N_SLOTS, WARM_S, density
from bench.simulate import exact, scale, state
from bench.simulate.scale import Fleet, Outcome

Say = Callable[[str], None]

N_SERVICES = 40
DENSITIES = (10, 30, 100, 300, 1_000, 2_000, 2_500, 3_000, 4_000, 5_000, 10_000, 25_000)
QUICK_DENSITIES = (100, 2_000, 3_000, 5_000)
MILLION = 1_000_000

DELAYS_S = (0.001, 0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
QUICK_DELAYS_S = (0.001, 0.5)
LOSSES = (0.1, 0.5, 0.9)
CUT_S, CUT_SHARE = (8.0, 12.0), 0.5
MOVE_S = 8.0
SHARING = ("need", "share", "sum")
N_GOVERNORS, N_SLOTS_SHARED = 1_000, 4_000
N_AGENTS_SHARED = 250_000
EXCHANGE_S = 1.0
"""Period of the exchange where 100,000 pairs of governor and service share a view."""

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
QUICK_SHARES = (0.0, 0.5, 1.0)
SHARE_DENSITIES = (2_500, 5_000)
UNSHARED = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Point:
    """One run, or the mean of several, in the figures that all curves show.

    Attributes
    ----------
    at : float
        Place on the curve's axis.
    load : float
        Offered over capacity.
    goodput_ratio : float
        Of capacity.
    inside_ratio : float
        Calls inside the services over their slots, mean after the warm-up.
    events, cpu_s : float
        Of the kernel; 0 for the exact tier.
    limit_ratio : float
        Learned limits of all gates over the slots, mean after the warm-up; 0: not told.
    """

    curve: str
    at: float
    n_agents: int
    load: float
    waste_ratio: float
    goodput_ratio: float
    attempts: float
    success_ratio: float
    inside_ratio: float = 0.0
    governed_success: float = 0.0
    ungoverned_success: float = 0.0
    events: float = 0.0
    cpu_s: float = 0.0
    limit_ratio: float = 0.0


def point_of(curve: str, at: float, outcome: Outcome) -> Point:
    """Return a run of the scale tier as a point."""
    fleet, counts = outcome.fleet, outcome.counts
    warm, end = round(fleet.warm_s * 10), round(fleet.seconds * 10)
    inside = float(outcome.timeline[state.INSIDE_EACH, warm:end].mean())
    past, past_done = int(counts[state.UNGOVERNED_TASKS]), int(counts[state.UNGOVERNED_DONE])
    own, own_done = int(counts[state.TASKS]) - past, int(counts[state.DONE]) - past_done
    return Point(
        curve,
        at,
        fleet.n_agents,
        fleet.load,
        outcome.waste_ratio,
        outcome.goodput_hz / fleet.capacity_hz,
        outcome.attempts_per_task,
        outcome.success_ratio,
        inside / (fleet.n_upstreams * fleet.n_slots),
        own_done / own if own else 0.0,
        past_done / past if past else 0.0,
        float(counts[state.EVENTS]),
        outcome.cpu_s,
    )


def told(say: Say, points: Iterator[Point]) -> list[Point]:
    """Return points, each said as it comes."""
    found = []
    for point in points:
        speed = f", {point.events / point.cpu_s / 1e6:.2f} M events/s" if point.cpu_s else ""
        say(
            f"  {point.curve:28} {point.at:>9,g} {point.n_agents:>9,} agents: waste "
            f"{point.waste_ratio:.2%}, goodput {point.goodput_ratio:.1%} of capacity, "
            f"{point.attempts:.2f} attempts{speed}"
        )
        found.append(point)
    return found


def density_curve(say: Say, *, is_quick: bool, most: int = MILLION) -> list[Point]:
    """Play the density curve, with nothing and with a governor before each service."""
    n_services = 4 if is_quick else N_SERVICES

    def points() -> Iterator[Point]:
        for per_service in QUICK_DENSITIES if is_quick else DENSITIES:
            n_agents = per_service * n_services
            if n_agents > most:
                continue
            for curve, share in (("nothing in front", 0.0), ("governor", 1.0)):
                fleet = Fleet(n_agents=n_agents, n_upstreams=n_services, governed_share=share)
                yield point_of(curve, per_service, scale.play(fleet))

    return told(say, points())


def million_rows(say: Say) -> list[Point]:
    """Play a million agents at other densities and in other arrangements."""

    def points() -> Iterator[Point]:
        for n_upstreams, is_roaming in ((10_000, False), (400, False), (400, True)):
            for curve, share in (("nothing in front", 0.0), ("governor", 1.0)):
                fleet = Fleet(
                    n_agents=MILLION,
                    n_upstreams=n_upstreams,
                    governed_share=share,
                    is_roaming=is_roaming,
                )
                where = "roaming" if is_roaming else "own service"
                yield point_of(f"{curve}, {where}", n_upstreams, scale.play(fleet))
        fleet = Fleet(n_agents=MILLION, n_upstreams=10_000, n_views=10, period_s=EXCHANGE_S)
        yield point_of("governors, 10 a service", 10_000, scale.play(fleet))
        fleet = shared(0.05, "share", n_agents=MILLION, n_upstreams=4)
        yield point_of("governors, 1,000 a service", 4, scale.play(fleet))

    return told(say, points())


def shared(
    delay_s: float,
    law: str,
    *,
    n_agents: int = N_AGENTS_SHARED,
    n_upstreams: int = 1,
    loss: float = 0.0,
    cut_share: float = 0.0,
    move_s: float = 0.0,
    n_governors: int = N_GOVERNORS,
    n_slots: int = N_SLOTS_SHARED,
) -> Fleet:
    """Return governors that share one view of a service."""
    return Fleet(
        n_agents=n_agents,
        n_upstreams=n_upstreams,
        n_views=n_governors,
        n_slots=n_slots,
        law=law,
        delay_s=delay_s,
        loss=loss,
        cut_s=CUT_S,
        cut_share=cut_share,
        move_s=move_s,
    )


def staleness_curve(say: Say, *, is_quick: bool) -> list[Point]:
    """Play old news: both laws over the delay, then loss and partition."""
    small = {"n_agents": 6_250, "n_governors": 25, "n_slots": 100} if is_quick else {}

    def points() -> Iterator[Point]:
        for law in SHARING:
            for delay_s in QUICK_DELAYS_S if is_quick else DELAYS_S:
                yield point_of(law, delay_s, scale.play(shared(delay_s, law, **small)))
            for loss in () if is_quick else LOSSES:
                fleet = shared(0.01, law, loss=loss, **small)
                yield point_of(f"{law}, lost", loss, scale.play(fleet))
            outcome = scale.play(shared(0.01, law, cut_share=CUT_SHARE, **small))
            yield point_of(f"{law}, half cut off 8-12 s", CUT_SHARE, outcome)
            for delay_s in QUICK_DELAYS_S:
                outcome = scale.play(shared(delay_s, law, move_s=MOVE_S, **small))
                yield point_of(f"{law}, demand moves at 8 s", delay_s, outcome)

    return told(say, points())


def share_curve(say: Say, *, is_quick: bool) -> list[Point]:
    """Play the governed share at two densities; and in the exact tier at a few shares."""
    n_services = 4 if is_quick else N_SERVICES

    def points() -> Iterator[Point]:
        for per_service in SHARE_DENSITIES:
            for share in QUICK_SHARES if is_quick else SHARES:
                fleet = Fleet(
                    n_agents=per_service * n_services,
                    n_upstreams=n_services,
                    governed_share=share,
                )
                yield point_of(f"{per_service:,} a service", share, scale.play(fleet))
            for share in (0.5,) if is_quick else (0.25, 0.5, 0.75):
                yield exact_point(per_service, share, 1 if is_quick else 3)

    return told(say, points())


def unshared_points(say: Say, *, is_quick: bool) -> list[Point]:
    """Play real gates side by side that share nothing: what a shared view is for."""

    def points() -> Iterator[Point]:
        for n_agents in SHARE_DENSITIES:
            for n_governors in (1, 4) if is_quick else UNSHARED:
                yield exact_point(n_agents, 1.0, 1, n_governors)

    return told(say, points())


def exact_point(n_agents: int, share: float, n_seeds: int, n_governors: int = 0) -> Point:
    """Return a point of the exact tier, the mean over seeds; 0 governors: one, over the share."""
    played = [
        exact.play(
            density(n_agents),
            "governor",
            seed,
            governed_share=share,
            n_governors=max(1, n_governors),
        )
        for seed in range(1, n_seeds + 1)
    ]
    runs = [each.quantities for each in played]
    limits = [limit for each in played for at_s, limit, _ in each.limits if at_s >= WARM_S]
    capacity_hz = Fleet(n_agents=n_agents).capacity_hz
    name = "exact" if not n_governors else "governors that share nothing, exact"
    return Point(
        f"{n_agents:,} a service, {name}",
        n_governors or share,
        n_agents,
        Fleet(n_agents=n_agents).load,
        mean(run["waste_ratio"] for run in runs),
        mean(run["warm_goodput_hz"] for run in runs) / capacity_hz,
        mean(run["attempts_per_task"] for run in runs),
        mean(run["success_ratio"] for run in runs),
        limit_ratio=mean(limits) / N_SLOTS if n_governors else 0.0,
    )

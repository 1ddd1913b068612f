"""Contention: is the tenant that costs the others named, and nobody where nobody waits?

Ten tenants at one service. *Calm*: all alike at 60 % load. *Noisy*: from 60 s on one of them sends
ten times its share, which takes the load to 114 %.
"""

from __future__ import annotations

from random import Random

from bench.detect.base import Options, Section, claim
from bench.detect.loads import SERVICE_S, Kind, make_arrivals, play, serve
from bench.report import table
from signals import Shared, SignalBank

N_TENANTS = 10
LOAD = 0.6
STARTS_S = 60.0
ENDS_S = 90.0
PLACES = (4, 16, 64)
WORLDS = ("calm", "noisy")


def run_world(world: str, places: int, seed: int, end_s: float) -> dict[str, float | int | str]:
    """Play one world; return who was named, how soon and how surely."""
    random = Random(seed * 100 + places)
    share_hz = LOAD * places / SERVICE_S / N_TENANTS
    noisy = 1 + seed % N_TENANTS
    arrivals = []
    for tenant in range(1, N_TENANTS + 1):
        is_noisy = world == "noisy" and tenant == noisy

        def rate(at_s: float, is_noisy: bool = is_noisy) -> float:
            return share_hz * (10.0 if is_noisy and at_s >= STARTS_S else 1.0)

        peak_hz = share_hz * (10.0 if is_noisy else 1.0)
        arrivals += [(at_s, tenant) for at_s in make_arrivals(random, rate, peak_hz, end_s)]
    arrivals.sort()
    bank = SignalBank(64, Shared(65_536))
    n_before = n_said = n_right = 0
    first_s = -1.0
    caused = 0.0
    for second, readings in play(bank, serve(random, arrivals, places, Kind()), end_s):
        cost = readings["contention"].value
        if second <= STARTS_S or world == "calm":
            n_before += cost > 0.05 * places
            continue
        if not readings["costliest_tenant"].is_ready:
            continue
        is_right = int(readings["costliest_tenant"].value) == noisy
        n_said += 1
        n_right += is_right
        caused = cost
        if is_right and first_s < 0.0:
            first_s = second - STARTS_S
    top = bank.costliest_tenants(1)
    return {
        "world": world,
        "places": places,
        "seed": seed,
        "false_s": n_before,
        "said_s": n_said,
        "right_s": n_right,
        "first_s": first_s,
        "cost": caused,
        "share": top[0][3] if top else 0.0,
        "is_named": int(bool(top) and top[0][0] == noisy),
    }


def run(options: Options) -> Section:
    """Run the section."""
    seeds = options.report_seeds[:1] if options.quick else options.report_seeds
    places = PLACES[:2] if options.quick else PLACES
    found = [run_world(w, c, s, ENDS_S) for w in WORLDS for c in places for s in seeds]
    rows = []
    for world in WORLDS:
        for c in places:
            mine = [row for row in found if row["world"] == world and row["places"] == c]
            rows.append(
                [
                    world,
                    c,
                    len(mine),
                    sum(int(row["false_s"]) for row in mine),
                    f"{sum(int(row['is_named']) for row in mine)} of {len(mine)}"
                    if world == "noisy"
                    else "-",
                    ", ".join(f"{row['first_s']:.0f}" for row in mine) if world == "noisy" else "-",
                    f"{sum(float(row['share']) for row in mine) / len(mine):.2f}",
                ]
            )
    noisy = [row for row in found if row["world"] == "noisy"]
    n_named = sum(int(row["is_named"]) for row in noisy)
    text = (
        "Ten tenants, one of which sends ten times its share from 60 s on (load 60 -> 114 %). "
        "False: seconds, before that or without it, in which more than 5 % of the places' time "
        "was said to be caused waiting.\n\n"
    )
    text += table(
        ["world", "places", "runs", "false s", "named at the end", "named after s", "its share"],
        rows,
    )
    claims = [
        claim(
            "a noisy tenant among ten is named",
            "the right one, every run",
            f"{n_named} of {len(noisy)}",
            None if options.quick else n_named == len(noisy),
        )
    ]
    return Section("Contention", text, {"claims": claims, "runs": found})

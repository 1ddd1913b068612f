"""Governors that share a view: each has its own row and, late, the sum of the others'.

*Rule of this file*: the exchange with a hub (a Redis), compiled. What a governor does with what it
knows is :func:`bench.simulate.laws.allowance`.

*Theory*: once a period each governor sends its row of an upstream (in flight, demand) in one call;
the hub puts the row in place of its last one and answers with the sum of all; the
governor takes away what it sent itself and has the others. Half the delay passes on the way
there, half on the way back, and the next call is not sent before the answer: what a governor
knows of the others is between one delay and a delay and a period old. A call that is lost changes
nothing on either side. A governor that is cut off goes on with what it saw last; the hub
forgets its row after a while (``ttl_ns``), so that the places of one that has died come free.

Three laws of dividing the places L of an upstream are compared:

- *sum*: a governor may hold L less what the others were last seen to hold. All of them see
  a free place at the same time, and all take it.
- *share*: a governor may hold its share of L by the rate of fresh calls (decayed with 10 s),
  whatever the others hold. That rate changes slowly, so old news is nearly as good as new;
  but where demand moves, the places follow slowly.
- *need*: the same by the calls in hand (in flight and waiting) and one more, so that nobody
  has none. It follows at once, as fast as the news does.

Shares are rounded with a dither of each governor's own, so that they add up to L.
"""

from __future__ import annotations

from typing import Any

from bench.simulate.compiled import part
from bench.simulate.laws import demand_of
from bench.simulate.state import EXCHANGES, LOST, draw

SEND, ARRIVE, RETURN = range(3)
"""Stages of an exchange: what the cell's timer does next."""


@part
def is_cut_off(cell: Any, rules: Any, now_ns: int) -> bool:
    """Return whether a cell cannot reach the hub now."""
    return bool(cell["is_cut"] and rules["cut_from_ns"] <= now_ns < rules["cut_until_ns"])


@part
def exchange(cell: Any, upstream: Any, rules: Any, counts: Any, rng: Any, now_ns: int) -> int:
    """Do one stage; return when the next one is due."""
    stage = cell["stage"]
    half_ns = rules["delay_ns"] // 2
    if stage == SEND:
        counts[EXCHANGES] += 1
        cell["asked_at"] = now_ns
        cell["row_demand"] = demand_of(cell, rules, now_ns)
        if is_cut_off(cell, rules, now_ns) or draw(rng) <= rules["loss"]:
            counts[LOST] += 1
            return int(now_ns + rules["period_ns"])
        cell["row_in_flight"] = cell["in_flight"]
        cell["stage"] = ARRIVE
        return int(now_ns + half_ns)
    if stage == ARRIVE:
        upstream["hub_in_flight"] += cell["row_in_flight"] - cell["hub_in_flight"]
        upstream["hub_demand"] += cell["row_demand"] - cell["hub_demand"]
        cell["hub_in_flight"], cell["hub_demand"] = cell["row_in_flight"], cell["row_demand"]
        cell["hub_at"] = now_ns
        cell["seen_in_flight"] = upstream["hub_in_flight"] - cell["row_in_flight"]
        cell["seen_demand"] = upstream["hub_demand"] - cell["row_demand"]
        cell["stage"] = RETURN
        return int(now_ns + half_ns)
    cell["others_in_flight"] = max(0.0, cell["seen_in_flight"])
    cell["others_demand"] = max(0.0, cell["seen_demand"])
    cell["stage"] = SEND
    return int(max(now_ns, cell["asked_at"] + rules["period_ns"]))


@part
def forget_row(cell: Any, upstream: Any, rules: Any, now_ns: int) -> None:
    """Take a row out of the hub's sum that has not been renewed."""
    if cell["hub_at"] > 0 and now_ns - cell["hub_at"] > rules["ttl_ns"]:
        upstream["hub_in_flight"] -= cell["hub_in_flight"]
        upstream["hub_demand"] -= cell["hub_demand"]
        cell["hub_in_flight"] = cell["hub_demand"] = 0.0
        cell["hub_at"] = 0

"""What the signals of one upstream say, in sentences that a person can act on.

*Rule of this file*: readings in, sentences out; nothing is computed that a
reading does not hold. Callers appear as salted labels, never as what they sent.
A reading that is not ready says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from signals import Reading
from signals.families import FAMILIES
from signals.propagation import ServiceRow
from signals.shape import SHAPES
from signals.shifts import GATES
from signals.state import NOT_IN_SIGHT_S
from signals.storm import AWAITED_MIN

Readings = Mapping[str, Reading]
Label = Callable[[int], str]

QUIET_HZ = 0.05
"""Below a call in 20 s nothing is said of the shape of demand."""

CLIENT_WORDS = {
    "stainless": "OpenAI's or Anthropic's SDKs",
    "claude_code": "Claude Code",
    "vercel": "Vercel's AI SDK",
    "gemini_cli": "Gemini CLI",
    "google": "Google's SDKs",
    "boto": "AWS's SDKs",
    "mcp": "MCP's SDKs",
    "openai_agents": "OpenAI's Agents SDK",
    "other": "other makes",
}
"""Families whose word is no name that a stranger knows; the others are called as they are."""

SHAPE_WORDS = {
    "organic": "Demand is organic",
    "surge": "A surge: more callers, not more retries",
    "cascade": "A cascade: failures bring callers back faster than they are served",
    "stuck_caller": "One caller, or very few, repeat without end",
    "mixed": "Demand and retries rise together",
}
PROPAGATION_WORDS = {1: "is slow by itself", 2: "cuts its calls short"}


def put_in_words(found: Readings, tenant_label: Label, tree_label: Label) -> list[str]:
    """Return what one upstream's readings say, the most general first."""
    sentences = [
        *_say_shape(found),
        *_say_synchrony(found),
        *_say_storm(found),
        *_say_saturation(found),
        *_say_quota(found),
        *_say_fanout(found, tree_label),
        *_say_contention(found, tenant_label),
    ]
    return sentences or ["Nothing has been seen long enough to speak of."]


def describe_propagation(found: Readings, upstream_label: Label) -> list[str]:
    """Return where trouble comes from, over all upstreams of the process."""
    service = found["propagation_service"]
    if service.value < 0 or not service.is_ready:
        return ["No upstream is slower by itself than its own past."]
    kind = PROPAGATION_WORDS.get(int(found["propagation_kind"].value), "has changed")
    text = f"{upstream_label(int(service.value))} {kind}"
    if found["propagation_own_p90"].is_ready:
        own, past = found["propagation_own_p90"].value, found["propagation_past_p90"].value
        text += f": nine in ten calls take it up to {own:.2g} s of its own, {past:.2g} s before"
    reach = ", ".join(
        f"{found[f'propagation_{whom}'].value:.0f} {whom}" for whom in ("flows", "tenants", "trees")
    )
    return [f"{text}. It is met by {reach} a minute."]


def describe_service(row: ServiceRow) -> str:
    """Return one upstream's own time, now and before."""
    if not row.calls:
        return "No call in the last minute."
    text = f"Nine in ten calls take it up to {row.own_p90:.2g} s of its own"
    if not row.past_p90:
        return f"{text}; what is usual is not known yet."
    if row.z90 < GATES[-1]:
        return f"{text}, as usual."
    return f"{text}, {row.past_p90:.2g} s before: {row.z90:.0f} times what chance explains."


def _say_shape(found: Readings) -> Iterator[str]:
    shape = found["load_shape"]
    if not shape.is_ready:
        return
    if found["arrival_rate"].value < QUIET_HZ:
        yield "Nobody calls now."
        return
    share = found["retry_share"].value
    text = SHAPE_WORDS[SHAPES[int(shape.value)]]
    text += f": {found['arrival_rate'].value:.3g} arrivals/s, {share:.0%} of them retries"
    n_flows = found["retrying_flows"].value
    if n_flows:
        text += f" by {n_flows:.0f} callers"
    family = int(found["retry_family"].value)
    if share and found["retry_family"].is_ready and 0 < family < len(FAMILIES):
        name = FAMILIES[family]
        text += f", mostly clients of {CLIENT_WORDS.get(name, name)}"
    if found["reproduction"].is_ready and share:
        text += f"; each failure leads to {found['reproduction'].value:.2f} more"
    yield text + "."


def _say_synchrony(found: Readings) -> Iterator[str]:
    if found["coarse_clock"].value:
        yield "Time stamps are too coarse to tell whether callers act in step."
    for name, whom in (("synchrony", "Callers"), ("retry_synchrony", "Retrying callers")):
        if found[f"{name}_alarm"].value and found[f"{name}_excess"].value >= 1:
            excess, width_s = found[f"{name}_excess"].value, found[f"{name}_width"].value
            yield (
                f"{whom} act in step: {excess:.0f} more within {width_s * 1e3:.0f} ms "
                "than chance explains."
            )
    if found["matched_alarm"].value:
        yield "Callers without a name come back in step with what failed before."
    elif found["synchrony_hint"].value:
        yield "A burst of callers without a name: in step or not, nothing tells."


def _say_storm(found: Readings) -> Iterator[str]:
    n_pending = found["pending_failures"].value
    crossing_s = found["storm_crossing"].value
    if found["storm_alarm"].value and crossing_s >= NOT_IN_SIGHT_S:
        yield _say_what_keeps_it_on(found["storm_returns"].value, found["capacity"].value)
    elif found["storm_alarm"].value:
        when = f"in {crossing_s:.1f} s" if crossing_s >= 0.05 else "by now"
        yield (
            f"Storm: {when} arrivals pass what can be served, "
            f"by up to {found['storm_excess'].value:.0f}/s; "
            f"{found['storm_returns'].value:.0f} failed calls will be back."
        )
    elif n_pending >= 1:
        yield (
            f"{n_pending:.0f} failed calls have not come back yet; up to "
            f"{found['forecast_peak'].value:.3g} arrivals/s are expected within 4 s."
        )
    if found["granted_slots"].value >= 1:
        n_told = round(found["granted_slots"].value)
        yield f"{n_told} {'caller was' if n_told == 1 else 'callers were'} told when to come back."


def _say_what_keeps_it_on(n_returns: float, capacity_hz: float) -> str:
    """Return why a storm alarm is still on though no crossing is in sight (signals.storm)."""
    served = (
        f"the {capacity_hz:.3g}/s that can be served" if capacity_hz > 0 else "what can be served"
    )
    if n_returns >= AWAITED_MIN:
        text = f"{n_returns:.0f} failed calls will be back, and what comes still passes {served}"
    else:
        text = f"hardly any failed call is awaited, but what comes still passes {served}"
    return f"Storm, ebbing: {text} now and then; over after half a second in which it does not."


def _say_saturation(found: Readings) -> Iterator[str]:
    capacity = found["capacity"]
    if not capacity.is_ready or capacity.value <= 0:
        return
    if found["saturated"].value:
        delay_s = found["queueing_delay"].value
        yield f"It can serve {capacity.value:.3g}/s and is saturated: {delay_s:.2g} s of waiting."
        return
    is_known = found["capacity_known"].value != 0
    text = "It can serve" if is_known else "It has served up to"
    text = f"{text} {capacity.value:.3g}/s{'' if is_known else ' so far'}"
    seconds = found["seconds_to_saturation"]
    if not seconds.is_ready or seconds.value >= NOT_IN_SIGHT_S:
        yield f"{text}; saturation is not in sight."
        return
    earliest, latest = found["saturation_earliest"].value, found["saturation_latest"].value
    late = f"{latest:.0f} s" if latest < NOT_IN_SIGHT_S else "never"
    if not is_known:
        yield f"{text}; demand passes that {'now' if seconds.value < 1 else 'soon'}."
    else:
        yield (
            f"{text}; saturated in {seconds.value:.0f} s "
            f"({earliest:.0f} s to {late}, nine times in ten)."
        )


def _say_quota(found: Readings) -> Iterator[str]:
    left, seconds = found["quota_left"], found["quota_seconds"]
    if not left.is_ready:
        return
    text = f"Its quota has {left.value:.0%} left"
    if seconds.is_ready and seconds.value < NOT_IN_SIGHT_S:
        text += f" and is empty in {seconds.value:.0f} s at this rate"
    yield text + "."


def _say_fanout(found: Readings, label: Label) -> Iterator[str]:
    n = found["fanout_exploding"].value
    if not n:
        return
    more = f" and {n - 1:.0f} more" if n > 1 else ""
    yield (
        f"{label(int(found['fanout_tree'].value))}{more} fans out: "
        f"{found['fanout_live'].value:.0f} calls open at once by "
        f"{found['fanout_agents'].value:.0f} agents."
    )


def _say_contention(found: Readings, label: Label) -> Iterator[str]:
    contention, share = found["contention"], found["costliest_share"]
    if not contention.is_ready or contention.value < 0.01:
        return
    yield (
        f"Tenants cost each other {contention.value:.2g} s of waiting a second; "
        f"{label(int(found['costliest_tenant'].value))} causes {share.value:.0%} of it."
    )

"""How long callers wait, from whole histories.

*Rule of this file*: no code shared with the kernels; constants only.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.signals.twins.backoff import BIN_S


@dataclass
class Call:
    """One call, and when it had its first byte, was left or dropped."""

    at_ns: int
    attempt: int
    law: int
    family: int
    patience_ns: int
    over_ns: int | None = None
    left_ns: int | None = None
    worked_off_ns: int | None = None
    """When the service was done with it after its caller had left."""


def believe_patience_s(calls: list[Call], sojourns: list[tuple[int, float, bool]]) -> float:
    """What is believed of patience."""
    share = header_s = 0.0
    for n, call in enumerate(calls, 1):
        gain = max(0.02, 1 / n)
        told = 1.0 if call.patience_ns > 0 else 0.0
        share += gain * (told - share)
        if told:
            mine_s = call.patience_ns * 1e-9
            header_s = mine_s if header_s == 0.0 else header_s + 0.1 * (mine_s - header_s)
    learned_s = trust = 0.0
    has_left = False
    for _, seconds, is_leaver in sojourns:
        if is_leaver:
            has_left = True
            if trust < 0.5:
                learned_s, trust = seconds, 0.5
            else:
                learned_s += 0.1 * (seconds - learned_s)
                trust += 0.1 * (1 - trust)
        elif has_left and seconds > 1.1 * learned_s:
            trust -= 0.1 * trust
    patience_s = header_s if share >= 0.5 else learned_s if trust >= 0.5 else 0.0
    return patience_s if BIN_S < patience_s < 254 * BIN_S else 0.0

"""Long streams: answers of 5 to 60 s that hold their slot, interactive ones beside a batch."""

from __future__ import annotations

from bench.service.spec import ServiceSpec
from bench.storm.base import Behind, Must, Quantities, Scenario
from bench.storm.bound import serve
from bench.storm.seen import Seen, percentile
from governor.load.plan import Demand, Group, Open

N_SLOTS = 160
FIRST_BYTE_S = 0.5
"""Prefill: from a stream's turn to its first byte."""
BATCH_MEAN_S, BATCH_SIGMA, BATCH_HZ = 20.0, 0.5, 7.5
PEOPLE_MEAN_S, PEOPLE_SIGMA, PEOPLE_HZ = 5.5, 0.1, 9.0
FULL_S = 16.0
"""By then every slot is taken, by streams that began one after another. (A batch that begins
all at once frees no slot before its shortest stream ends, which says nothing of the
hours that follow.)"""
JUDGED_UNTIL_S = 28.0
"""Interactive streams that begin later are load, and not judged: the run ends before some
of them could, and a stream that is cut off would count as one that never began."""
SECONDS, DRAIN_S = 30.0, 11.0


def measure(seen: Seen) -> Quantities:
    """Return the interactive callers' times to first byte, and what is possible."""
    people = seen.of("interactive") & seen.begun_in(FULL_S, JUDGED_UNTIL_S)
    best = serve(seen.began_s, seen.demand_s, seen.of("interactive"), N_SLOTS)
    possible_s = best.started_s - seen.began_s + FIRST_BYTE_S
    return {
        "first_byte_p50_s": percentile(seen.first_byte_took_s()[people], 50),
        "first_byte_p99_s": percentile(seen.first_byte_took_s()[people], 99),
        "bound_first_byte_p99_s": percentile(possible_s[people], 99),
        "busy_ratio": seen.jobs["llm"].busy_s(FULL_S, seen.seconds)
        / (N_SLOTS * (seen.seconds - FULL_S)),
    }


STREAMS = Scenario(
    name="streams",
    family="streams",
    text=f"An LLM of {N_SLOTS} slots; a batch starts {BATCH_HZ}/s streams of 5 to 60 s (mean "
    f"{BATCH_MEAN_S:.0f} s, open: {BATCH_HZ * BATCH_MEAN_S / N_SLOTS:.0%} of the slots) and has "
    f"taken them all by {FULL_S:.0f} s; beside it {PEOPLE_HZ:.0f}/s interactive streams of 4 to "
    f"7 s ({PEOPLE_HZ * PEOPLE_MEAN_S / N_SLOTS:.0%}) with an API key of their own. OpenAI's law. "
    f"First byte {FIRST_BYTE_S} s after a stream's turn, four events a second. Patience to the "
    "first byte 30 s (batch 60 s). A slot is held from turn to end. Judged: interactive streams "
    f"that begin from {FULL_S:.0f} to {JUDGED_UNTIL_S:.0f} s.",
    services=(
        Behind(
            "llm",
            ServiceSpec(N_SLOTS, 10.0, 0.5, is_stream=True, first_byte_s=FIRST_BYTE_S),
        ),
    ),
    groups=(
        Group(
            "interactive",
            200,
            Open(PEOPLE_HZ),
            key="people-key",
            timeout_s=30.0,
            demand=Demand(PEOPLE_MEAN_S, PEOPLE_SIGMA),
            is_stream=True,
        ),
        Group(
            "batch",
            300,
            Open(BATCH_HZ),
            key="batch-key",
            timeout_s=60.0,
            demand=Demand(BATCH_MEAN_S, BATCH_SIGMA),
            is_stream=True,
        ),
    ),
    seconds=SECONDS,
    drain_s=DRAIN_S,
    measure=measure,
    musts=(
        Must(
            "interactive time to first byte p99 ≤ 1.5 × unloaded",
            "first_byte_p99_s",
            "<=",
            1.5,
            "alone",
        ),
    ),
    alone=("interactive",),
    patience_s=30.0,
    watched=("interactive",),
    columns=(
        ("first_byte_p50_s", "first byte p50 s"),
        ("bound_first_byte_p99_s", "bound: first byte p99 s"),
        ("busy_ratio", "slots busy"),
    ),
)

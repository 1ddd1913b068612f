"""Is it alive, and may it be sent traffic? The two questions of every orchestrator.

*live*: the event loop turns (this answer is its proof). *ready*: it listens and
is not draining. Readiness turns false **before** listeners close, so that a
load balancer looks away first. Upstream trouble does not make Governor
unready: standing in front of a troubled service is its purpose.
"""

from __future__ import annotations

from governor.control.view import RuntimeView

LIVE_PATHS = ("/healthz/live", "/health", "/health/liveliness")
"""The last two are LiteLLM's, spelling included: a move from it needs no new probes."""

READY_PATHS = ("/healthz/ready", "/health/readiness")


def compute_readiness(runtime: RuntimeView) -> tuple[int, str]:
    """Return the status (200 or 503) and one word: ``ready``, ``starting`` or ``draining``."""
    if runtime.is_draining:
        return 503, "draining"
    if not runtime.is_ready:
        return 503, "starting"
    return 200, "ready"

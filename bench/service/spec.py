"""What a service is: slots, line, faults, quota, streams, workers. Frozen values and their JSON.

*Rule of this file*: words only; nothing runs here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import orjson


@dataclass(frozen=True)
class ServiceSpec:
    """One service process.

    Attributes
    ----------
    n_slots : int
        Jobs in service at once; 0: without end.
    mean_s, sigma : float
        Lognormal demand of a request that brings none of its own (``x-bench-demand-s``).
    queue_bound : int
        Longest line; beyond it 503 at once, as a server with a full backlog. -1: no bound.
    faults : tuple of (start_s, length_s, speed)
        From the begin of the run; work runs at that speed for so long.
    dead : tuple of (start_s, length_s)
        The host is gone: what it had in hand is lost, what arrives is never answered. When
        it is back its line is empty, and the connections from before are reset.
    quota_hz, quota_depth : float
        Token bucket; without a token 429. 0: none.
    retry_after_s : int
        The one ``Retry-After`` of all these 429; 0: none.
    is_stream : bool
        Answers are event streams: ``first_byte_s`` after its turn the first event, then one
        every ``event_s`` until the demand is over. The slot is held throughout.
    workers_call : str
        Path prefix of requests whose worker calls another service (see ``Workers``); empty:
        none calls, and the service is slots.
    own_s : float
        Demand of such a request before its call.
    call_timeout_s : float
        How long a worker waits for the other service; then 504.
    """

    n_slots: int = 32
    mean_s: float = 0.1
    sigma: float = 0.5
    queue_bound: int = -1
    faults: tuple[tuple[float, float, float], ...] = ()
    dead: tuple[tuple[float, float], ...] = ()
    quota_hz: float = 0.0
    quota_depth: float = 0.0
    retry_after_s: int = 0
    is_stream: bool = False
    first_byte_s: float = 0.0
    event_s: float = 0.25
    workers_call: str = ""
    own_s: float = 0.02
    call_timeout_s: float = 3.0

    @property
    def steps(self) -> list[tuple[float, float]]:
        """Changes of speed as (instant, speed), in order.

        >>> ServiceSpec(faults=((8.0, 4.0, 0.1),)).steps
        [(8.0, 0.1), (12.0, 1.0)]
        """
        return sorted(
            step
            for start_s, length_s, speed in self.faults
            for step in ((start_s, speed), (start_s + length_s, 1.0))
        )

    def to_json(self) -> str:
        """Return the value as JSON."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> ServiceSpec:
        """Return what :meth:`to_json` wrote."""
        value: dict[str, Any] = orjson.loads(text)
        value["faults"] = tuple(tuple(fault) for fault in value.get("faults", ()))
        value["dead"] = tuple(tuple(death) for death in value.get("dead", ()))
        return cls(**value)

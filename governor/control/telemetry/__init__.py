"""OpenTelemetry: spans and metrics to a collector, if the environment asks for them.

*Rule of this package*: whatever costs time is done by threads of its own; the
loop decides which requests are sampled and puts their records into bounded
queues. What does not fit is dropped and counted; a dead collector costs its
telemetry, never a request.

The map: ``settings`` (the standard variables), ``sampling`` (traceparent, the
standard samplers), ``shipping`` (a queue and a thread), ``spans`` and
``points`` (from Governor's records to OpenTelemetry's), ``telemetry`` (put
together). Only ``spans``, ``points`` and what ``telemetry`` makes of them need
the extra packages; they are imported when the environment asks, never before.
"""

from __future__ import annotations

from governor.control.telemetry.telemetry import Telemetry, make_telemetry

__all__ = ["Telemetry", "make_telemetry"]

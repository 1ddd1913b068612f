"""The control plane: what Governor is doing, for people and for their monitoring.

aiohttp on its own port (loopback by default), in the same process and loop as
the proxy. It only reads, but for the switches of the dashboard, and nothing here
runs on a request's path except the plain additions of :mod:`~.tally` and the
one buffered line of :mod:`~.access_log`.

The map: ``app`` (routes, refusals) -> ``health``, ``state``, ``decisions``,
``metrics`` (names) and ``collector`` (numbers to Prometheus), ``dashboard`` (pages,
stream, switches); ``monitoring`` (Grafana, alert rules); ``lag`` and
``tally`` count what nobody else does.
"""

from __future__ import annotations

from governor.control.access_log import AccessLogWriter
from governor.control.app import ControlPlane
from governor.control.lag import LoopLag
from governor.control.tally import RequestTally

__all__ = ["AccessLogWriter", "ControlPlane", "LoopLag", "RequestTally"]

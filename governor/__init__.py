"""Governor: coordination for fleets of AI agents, as a reverse proxy.

The map: ``proxy`` moves bytes (uvloop, httptools), ``core`` decides (no I/O, no
clock), ``control`` shows and explains (aiohttp), ``config`` says what may be
chosen. ``signals`` and ``policies`` are packages of their own, pure and shared
by the proxy, by replay and by simulation. Imports point down only.
"""

__version__ = "0.1.0"

"""The processes of a Governor with several workers: supervisor, keeper, workers.

::

    supervisor ──forks──▶ keeper      every gate, the signals, the control plane
        │                   ▲ rings
        └─────────────────▶ worker 0, worker 1, …     listeners, connections, pools

*Rule of this folder*: construction and life, as :mod:`governor.runtime` for one process; what
travels between them is :mod:`governor.workers`'s. What the only process has as well, listeners
and pools (:mod:`.data_plane`) and how it is stopped (:mod:`.stopping`), it takes from here.
"""

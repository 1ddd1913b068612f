"""A small tool API of its own process, to have something to govern in the first minute.

It is what Governor is made for: finite slots, a FIFO queue behind them, and work
that goes on after its caller has left. ``service`` holds the slots, ``dialects``
the shapes of the answers, ``server`` the HTTP endpoints.
"""

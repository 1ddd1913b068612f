"""The flight recorder: the shape of the last minutes, kept, written, played again.

The map: ``events`` (what one record holds) -> ``ring`` (memory) -> ``tap`` (listens at
the gates) -> ``recorder`` (when it is written, how much) -> ``store`` (the file).
From a file: ``replay`` (the same decisions again, exactly), ``calls`` and ``readers``
(what was asked of the service) -> ``whatif`` (how another configuration would have
done), ``summary`` and ``page`` (for people), ``explain`` (the life of one request).

Nothing of a request's content is ever seen here: a tap is told integers by the gate.
"""

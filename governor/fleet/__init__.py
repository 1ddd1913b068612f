"""Many worker processes on one port, governed as one: who owns what, and how they talk.

*Rule of this folder*: numbers in shared memory, one writer for each word. No sockets, no
configuration; the processes themselves are :mod:`governor.processes`.

::

    worker 0 ──▶ ring ──▶ ┌────────┐
             ◀── ring ◀── │ keeper │  every gate, every signal, the identities, the control plane
    worker 1 ──▶ ring ──▶ │        │
             ◀── ring ◀── └────────┘

*Theory*: one process, the **keeper**, owns the only gate of each upstream, so every policy is
exactly what it is in one process: nothing is estimated from sums of rows, nothing can disagree.
A **worker** owns bytes. It asks through a :class:`~governor.fleet.remote_gate.RemoteGate`, which
writes a record and takes the decision from another. In calm it need not ask: the keeper lends it
a *credit*, a number of calls that it may hold in flight, and it tells of them afterwards. A
credit is lent only where the gate would admit every one of those calls (:mod:`~.credit`), so
lending changes no decision, but for what moves while a record is on its way.

*Cost*: a call within credit is two records, about 3 us in the worker; the keeper spends on it
what the gate costs and 3 us more. So one keeper feeds as many workers as fit into about 70,000
calls a second.

*Considered and rejected*: a gate in every worker over summed rows of shared memory (each policy
would have to be written anew for sums, and a line cannot be summed: who waits at one worker
while a place comes free at another?); a lock around one gate in shared memory (a killed worker
would hold it).
"""

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
A **worker** owns bytes. It asks through a :class:`~governor.workers.remote_gate.RemoteGate`, which
writes a record and takes the decision from another. In calm it need not ask: the keeper lends it
a *credit*, a number of calls that it may hold in flight, and it tells of them afterwards. A
credit is lent only where the gate would admit every one of those calls (:mod:`~.credit`), so
lending changes no decision, but for what moves while a record is on its way.

*Cost*: in one run on a busy machine, where a call cost the gate itself 12.5 us, a call within
credit cost a worker 14 us and the keeper 27 us: its gate, and two records read. So workers carry
about what as many single processes would, until the keeper's core is full;
``python -m bench workers`` says where that is on the machine at hand.

*Considered and rejected*: a gate in every worker over summed rows of shared memory (each policy
would have to be written anew for sums, and a line cannot be summed: who waits at one worker
while a place comes free at another?); a lock around one gate in shared memory (a killed worker
would hold it).
"""

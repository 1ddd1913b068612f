"""What one arrival counts for: at its flow, among retries, in the table of open calls.

*Rule of this file*: an arrival is counted once, before anything is known of how
it ends. When it is counted is :mod:`signals.events`'.
"""

from __future__ import annotations

from signals.contention import join_tenant
from signals.families import UNKNOWN
from signals.fanout import join_tree
from signals.forecast import note_arrival, note_return
from signals.kernel import inlined
from signals.memory import State
from signals.nesting import begin_nested
from signals.propagation import note_visit
from signals.reproduction import count_return
from signals.retry import count_retrying
from signals.rows import NO_ROW
from signals.shape import count_retrying_flow
from signals.state import BUCKET_NS, FRESH, N_GAPS, N_SCALES, RETRY
from signals.synchrony import classify_gap


@inlined
def count_arrival(state: State, t_ns: int, row: int, is_identified: bool) -> None:
    """Count one arrival in the open bucket, by how long its flow was silent."""
    s = state.bank[0]
    flows = state.flows
    gap_ns = t_ns - s["last_arrival_ns"]
    s["gaps"][s["n_gaps"] % N_GAPS] = gap_ns
    s["n_gaps"] += 1
    s["last_arrival_ns"] = t_ns
    s["open_arrivals"] += 1
    s["n_arrivals"] += 1
    if row == NO_ROW or not is_identified:
        s["open_unidentified"] += 1
    scale = N_SCALES - 1 if row == NO_ROW else classify_gap(t_ns - flows[row]["last_ns"])
    if scale >= 0:
        s["open_fresh"][FRESH, scale] += 1
    flows[row]["last_ns"] = t_ns


@inlined
def count_retry(state: State, t_ns: int, row: int) -> None:
    """Count one retry in the open bucket."""
    s = state.bank[0]
    flows = state.flows
    previous_ns = flows[row]["last_retry_ns"]
    scale = N_SCALES - 1 if row == NO_ROW else classify_gap(t_ns - previous_ns)
    if scale >= 0:
        s["open_fresh"][RETRY, scale] += 1
    s["open_retries"] += 1
    s["n_retries"] += 1
    if row != NO_ROW:  # nobody in particular is no flow, and the same nobody at every upstream
        count_retrying(state.bank, t_ns // BUCKET_NS, previous_ns // BUCKET_NS)
        count_retrying_flow(state.shape, t_ns, previous_ns)
        flows[row]["last_retry_ns"] = t_ns


@inlined
def take_back(state: State, t_ns: int, row: int, found: int, is_retry: bool) -> None:
    """A flow with a failed call is back, by a retry of it or not: it is awaited no more."""
    state.flows[row]["n_failed"][found] -= 1  # a failure excuses one retry
    note_return(
        state.forecast[0],
        t_ns,
        state.flows[row]["failed_ns"][found],
        state.flows[row]["failed_due_ns"][found],
        state.flows[row]["failed_attempt"][found],
        state.flows[row]["failed_family"][found],
        is_retry,
    )
    count_return(state.shape, t_ns, state.flows[row]["failed_ns"][found], is_retry)


@inlined
def begin_call(
    state: State,
    t_ns: int,
    idx: int,
    tenant: int,
    who: int,
    row: int,
    tree: int,
    told: int,
    fingerprint: float,
) -> None:
    """Write down whose call it is and since when, in the place that it was given."""
    c = state.calls[idx]
    c["has_left"] = 0
    c["upstream"] = state.bank[0]["upstream"]
    c["tenant"] = tenant
    c["flow"] = who
    c["row"] = row
    c["tree"] = tree
    c["told"] = told
    c["family"] = told if told != UNKNOWN or row == NO_ROW else state.flows[row]["family"]
    c["fingerprint"] = fingerprint
    c["arrived_ns"] = t_ns
    c["answered_ns"] = 0
    if row != NO_ROW:
        state.flows[row]["n_open"] += 1


@inlined
def join_others(state: State, t_ns: int, idx: int, family: int) -> None:
    """Let an open call count among its tenant's, its tree's and those that wait for an answer."""
    c = state.calls[idx]
    join_tenant(state.contention, state.tenants, t_ns, c["tenant"])
    note_arrival(state.forecast[0], t_ns, c["attempt"], family, c["flow"] > 0, c["patience_ns"])
    join_tree(state.fanout, state.trees, state.agents, t_ns, c["tree"], c["flow"], c["upstream"])
    begin_nested(state.nesting, state.roots, state.calls, t_ns, idx)
    note_visit(state.services, state.roots, state.calls, t_ns, idx)

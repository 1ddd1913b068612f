"""All memory of one upstream's signals, gathered: what kernels are handed.

*Rule of this file*: which arrays there are and how kernels come by them.

*Theory*: a bank hands its kernels one number, the address of a list of
addresses and lengths, and they open it as a :class:`State`. Without a compiler
the same name takes the :class:`State` itself.

``process``, ``calls``, the pool of flows' rows and what is known of trees and
services are shared by the banks of a process (:class:`Shared`); the rest belongs
to one upstream. So many upstreams cost no more memory for flows than one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from signals.calibration import CALIBRATION_DTYPE, make_calibration
from signals.contention import CONTENTION_DTYPE, TENANT_DTYPE, make_contention, make_tenants
from signals.forecast import FORECAST_DTYPE, make_forecast
from signals.headroom import HEADROOM_DTYPE, make_headroom
from signals.kernel import IS_COMPILED, make_view, part
from signals.matched import MATCHED_DTYPE, make_matched
from signals.nesting import NEST_DTYPE, ROOT_DTYPE, make_nesting, make_roots
from signals.owntime import SERVICE_DTYPE, make_services
from signals.propagation import PROPAGATION_DTYPE, make_propagation
from signals.quota import QUOTA_DTYPE, make_quotas
from signals.recognition import RECOGNITION_DTYPE, make_recognition
from signals.rows import N_ROWS, make_heads
from signals.saturation import SATURATION_DTYPE, make_saturation
from signals.shape import SHAPE_DTYPE, make_shape
from signals.state import (
    BANK_DTYPE,
    CALL_DTYPE,
    FLOW_DTYPE,
    PROCESS_DTYPE,
    READING_DTYPE,
    Records,
    array_of,
    make_bank,
    make_calls,
    make_flows,
)
from signals.trees import (
    AGENT_DTYPE,
    FANOUT_DTYPE,
    TREE_DTYPE,
    make_agents,
    make_fanout,
    make_trees,
)

ROOT = types.int64
"""How a kernel receives its memory."""


class State(NamedTuple):
    """Every array that kernels read and write; records unless said to be tables."""

    process: Records
    calls: Records
    """A table, by call."""
    bank: Records
    flows: Records
    """A table, by row: what flows did at upstreams."""
    matched: Records
    shape: Records
    saturation: Records
    readings: Records
    """A table, in the order of ``signals.summary.READINGS``."""
    forecast: Records
    fanout: Records
    trees: Records
    """A table, by tree."""
    agents: Records
    """A table, by flow: its place in a tree."""
    headroom: Records
    quotas: Records
    """A table, by credential and kind."""
    contention: Records
    tenants: Records
    """A table, by tenant."""
    calibration: Records
    recognition: Records
    nesting: Records
    """A table, by call."""
    roots: Records
    """A table, by tree."""
    services: Records
    """A table, by upstream."""
    propagation: Records
    row_heads: npt.NDArray[np.int32]
    """A table, by bucket of (upstream, flow): the first row of its list."""


class Shared:
    """Memory that the banks of all upstreams of a process share.

    Parameters
    ----------
    n_calls : int
        Calls that can be open at once over all upstreams, plus one.
    n_trees, n_flows : int
        Sizes of the identity tables, overflow entry 0 included.
    n_upstreams : int
        Upstreams whose own times are kept; those beyond are not.
    n_rows : int
        Pairs of a flow and an upstream that are remembered at once, over all
        upstreams, plus one; a pair beyond is an unknown caller.
    """

    __slots__ = (
        "agents",
        "calls",
        "fanout",
        "flows",
        "nesting",
        "process",
        "propagation",
        "roots",
        "row_heads",
        "services",
        "trees",
    )

    def __init__(
        self,
        n_calls: int = 65_536,
        n_trees: int = 65_536,
        n_flows: int = 65_536,
        n_upstreams: int = 64,
        n_rows: int = N_ROWS,
    ) -> None:
        self.process: Records = np.zeros(1, PROCESS_DTYPE)
        self.calls = make_calls(n_calls)
        self.fanout = make_fanout()
        self.trees = make_trees(n_trees)
        self.agents = make_agents(n_flows)
        self.nesting = make_nesting(n_calls)
        self.roots = make_roots(n_trees)
        self.services = make_services(n_upstreams)
        self.propagation = make_propagation()
        self.flows = make_flows(n_rows)
        self.row_heads = make_heads(n_rows)

    def forget_flow(self, flow: int) -> None:
        """Let a flow's number stand for another caller from now on, at every upstream."""
        if 0 < flow < len(self.agents):
            self.agents["generation"][flow] += 1


def make_state(shared: Shared, n_flows: int, n_tenants: int, n_readings: int) -> State:
    """Allocate one upstream's memory beside what is shared."""
    return State(
        process=shared.process,
        calls=shared.calls,
        bank=make_bank(n_flows),
        flows=shared.flows,
        matched=make_matched(),
        shape=make_shape(),
        saturation=make_saturation(),
        readings=np.zeros(n_readings, READING_DTYPE),
        forecast=make_forecast(),
        fanout=shared.fanout,
        trees=shared.trees,
        agents=shared.agents,
        headroom=make_headroom(),
        quotas=make_quotas(),
        contention=make_contention(),
        tenants=make_tenants(n_tenants),
        calibration=make_calibration(),
        recognition=make_recognition(),
        nesting=shared.nesting,
        roots=shared.roots,
        services=shared.services,
        propagation=shared.propagation,
        row_heads=shared.row_heads,
    )


def make_root(state: State) -> npt.NDArray[np.int64]:
    """Return addresses and lengths of a state's arrays; both must outlive its use."""
    return np.array([x for y in state for x in (y.ctypes.data, len(y))], np.int64)


_view_root = make_view(types.Array(types.int64, 1, "C"))
_view_process = make_view(array_of(PROCESS_DTYPE))
_view_calls = make_view(array_of(CALL_DTYPE))
_view_bank = make_view(array_of(BANK_DTYPE))
_view_flows = make_view(array_of(FLOW_DTYPE))
_view_matched = make_view(array_of(MATCHED_DTYPE))
_view_shape = make_view(array_of(SHAPE_DTYPE))
_view_calibration = make_view(array_of(CALIBRATION_DTYPE))
_view_recognition = make_view(array_of(RECOGNITION_DTYPE))
_view_saturation = make_view(array_of(SATURATION_DTYPE))
_view_readings = make_view(array_of(READING_DTYPE))
_view_forecast = make_view(array_of(FORECAST_DTYPE))
_view_fanout = make_view(array_of(FANOUT_DTYPE))
_view_trees = make_view(array_of(TREE_DTYPE))
_view_agents = make_view(array_of(AGENT_DTYPE))
_view_headroom = make_view(array_of(HEADROOM_DTYPE))
_view_quotas = make_view(array_of(QUOTA_DTYPE))
_view_contention = make_view(array_of(CONTENTION_DTYPE))
_view_tenants = make_view(array_of(TENANT_DTYPE))
_view_nesting = make_view(array_of(NEST_DTYPE))
_view_roots = make_view(array_of(ROOT_DTYPE))
_view_services = make_view(array_of(SERVICE_DTYPE))
_view_propagation = make_view(array_of(PROPAGATION_DTYPE))
_view_row_heads = make_view(types.Array(types.int32, 1, "C"))

_N_ROOT = 2 * len(State._fields)


@part
def _open_root(root: int) -> State:
    r = _view_root(root, _N_ROOT)
    return State(
        _view_process(r[0], r[1]),
        _view_calls(r[2], r[3]),
        _view_bank(r[4], r[5]),
        _view_flows(r[6], r[7]),
        _view_matched(r[8], r[9]),
        _view_shape(r[10], r[11]),
        _view_saturation(r[12], r[13]),
        _view_readings(r[14], r[15]),
        _view_forecast(r[16], r[17]),
        _view_fanout(r[18], r[19]),
        _view_trees(r[20], r[21]),
        _view_agents(r[22], r[23]),
        _view_headroom(r[24], r[25]),
        _view_quotas(r[26], r[27]),
        _view_contention(r[28], r[29]),
        _view_tenants(r[30], r[31]),
        _view_calibration(r[32], r[33]),
        _view_recognition(r[34], r[35]),
        _view_nesting(r[36], r[37]),
        _view_roots(r[38], r[39]),
        _view_services(r[40], r[41]),
        _view_propagation(r[42], r[43]),
        _view_row_heads(r[44], r[45]),
    )


def _pass_through(root: Any) -> State:
    """Without a compiler the state is handed over as it is."""
    return root  # type: ignore[no-any-return]


open_state = _open_root if IS_COMPILED else _pass_through

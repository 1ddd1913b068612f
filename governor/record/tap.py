"""Listens at the gates: what each was told and decided goes into the ring.

*Rule of this file*: a tap stands beside the gates and changes nothing; what it does at one gate is
:mod:`governor.record.gate_tap`'s. Where none is attached, a gate is as it always was.

A fault here is counted and never reaches the request. A record that could not be
written (a number out of its range) is lost and counted with the faults.

*Cost*: see :mod:`governor.record.gate_tap`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from governor.core.gate import Gate
from governor.core.identity import Identities, IdentityTable
from governor.core.registry import Registry
from governor.record.events import EVENT_BYTES, HEAD, WHOLE, Kind
from governor.record.gate_tap import GateTap
from governor.record.ring import Ring

_pack_head, _pack_whole = HEAD.pack_into, WHOLE.pack_into

MAX_UPSTREAMS: Final = 256


class Tap:
    """Listens at all gates of one process.

    Parameters
    ----------
    ring : Ring
    salt : int
        Start of the checksums of request ids; 32 bits.
    """

    __slots__ = ("ring",)

    def __init__(self, ring: Ring, salt: int = 0) -> None:
        self.ring = ring
        ring.salt = salt

    @property
    def n_faults(self) -> int:
        """Records lost to a fault."""
        return self.ring.n_faults

    @n_faults.setter
    def n_faults(self, n: int) -> None:
        self.ring.n_faults = n

    def attach(self, gates: Iterable[Gate], identities: Identities) -> None:
        """Listen from now on; before the first request, or the recording cannot be exact."""
        for idx, gate in enumerate(gates):
            if idx >= MAX_UPSTREAMS:
                break
            GateTap(self, gate, idx).attach()
        tables = (identities.tenants, identities.flows, identities.trees)
        for number, table in enumerate(tables):
            self._watch(table, number)

    def attach_registry(self, registry: Registry) -> None:
        """Listen to who is held, quarantined and released, by people and by envelopes."""
        registry.on_restrained = self._note_restrained
        registry.on_released = self._note_released

    def _note_restrained(self, now_ns: int, flow: int, cap: int) -> None:
        self.note(now_ns, Kind.RESTRAIN, 0, flow, cap)

    def _note_released(self, now_ns: int, flow: int) -> None:
        self.note(now_ns, Kind.RELEASE, 0, flow)

    def _watch(self, table: IdentityTable, number: int) -> None:
        told = table.on_handover

        def on_handover(idx: int) -> None:
            self.note(table.seen_at_ns[idx], Kind.HANDOVER, 0, idx, endpoint=number)
            if told is not None:
                told(idx)

        table.on_handover = on_handover

    def note(
        self,
        now_ns: int,
        kind: int,
        upstream: int,
        number: int = 0,
        request: int = 0,
        delay_ns: int = 0,
        action: int = 0,
        reason: int = 0,
        status: int = 0,
        endpoint: int = 0,
    ) -> None:
        """Write a record of the head's fields only."""
        ring = self.ring
        offset = ring.offset
        try:
            _pack_head(
                *(ring.memory, offset, now_ns, number, request, delay_ns),
                *(int(kind), upstream, int(action), reason, status, endpoint),
            )
        except Exception:
            self.n_faults += 1
            return
        ring.step()

    def write_tail(self, *values: int) -> None:
        """Complete the record just written: tenant, fingerprint, affinity, patience."""
        ring = self.ring
        tenant, fingerprint, affinity, patience_ns = values
        place = (ring.offset or len(ring.memory)) - EVENT_BYTES
        try:
            head = HEAD.unpack_from(ring.memory, place)
            tail = (tenant, 0, 0, 0, fingerprint, affinity, patience_ns, 0, *(False,) * 4)
            _pack_whole(ring.memory, place, *head, *tail, *(0,) * 6)
        except Exception:
            self.n_faults += 1

    def note_id(self, owner: Any) -> None:
        """Remember the id of the request whose arrival has just been written."""
        request_id = None
        try:
            if owner is not None:
                request_id = owner.request_id
        except Exception:
            self.n_faults += 1
        self.ring.ids.append(request_id)

"""What a service is, in words."""

from __future__ import annotations

from bench.service.spec import ServiceSpec


def test_a_spec_survives_its_json() -> None:
    """What a process is told is what was meant."""
    spec = ServiceSpec(3, 0.2, 0.1, 7, ((8.0, 4.0, 0.1),), ((1.0, 2.0),), 80.0, 40.0, 3)
    assert ServiceSpec.from_json(spec.to_json()) == spec


def test_a_fault_is_a_change_and_its_end() -> None:
    """Each fault slows and then restores, in order of time."""
    spec = ServiceSpec(faults=((8.0, 4.0, 0.1), (2.0, 1.0, 0.0)))
    assert spec.steps == [(2.0, 0.0), (3.0, 1.0), (8.0, 0.1), (12.0, 1.0)]

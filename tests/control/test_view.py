"""What the control plane reads is there: in the stub and in the real runtime."""

from __future__ import annotations

import pytest

from governor.config.model import Config
from governor.control.view import RuntimeView
from governor.runtime import Runtime
from tests.control.stub import StubRuntime


def make_runtime() -> Runtime:
    """A runtime that was made and not started."""
    return Runtime(Config.single("http://127.0.0.1:9", admin="127.0.0.1:0"))


@pytest.mark.parametrize("make", [StubRuntime, make_runtime])
def test_every_part_of_the_view_is_there(make: type) -> None:
    """Each property of the protocol is an attribute of the runtime."""
    runtime = make()
    names = [name for name in vars(RuntimeView) if not name.startswith("_")]
    assert names
    assert all(hasattr(runtime, name) for name in names)

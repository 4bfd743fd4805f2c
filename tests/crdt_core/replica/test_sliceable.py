"""What may be too large for one turn says so, and runs in slices: every such operation offers both."""

from __future__ import annotations

from crdt_core.commands import Execute, Invocation
from crdt_core.commands.expiry import DeleteExpired
from crdt_core.replica.sliceable import Sliceable
from workers.resp.transaction import Guarded


def test_operations_that_run_commands_are_sliceable() -> None:
    for operation in (Execute, Guarded, Invocation, DeleteExpired):
        assert issubclass(operation, Sliceable)
        assert {"is_large", "steps"} <= vars(operation).keys()

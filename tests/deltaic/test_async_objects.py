"""The asyncio objects, from which the blocking ones are made: `test_objects` runs both."""

from __future__ import annotations

from tools.blocking import PACKAGE, blocking


def test_the_blocking_objects_are_made_from_these() -> None:
    assert blocking("async_objects.py") == (PACKAGE / "objects.py").read_text(), "run `make blocking`"

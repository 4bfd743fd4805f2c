"""A node and its store on an empty server."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import Fenced
from tests.workers.storage.bench import Bench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.server import ValkeyServer


@pytest.fixture
async def bench(server: ValkeyServer) -> AsyncIterator[Bench]:
    """Node `n1` and its store, which has acquired the replica."""
    server.client().flushdb()
    made = Bench(server)
    try:
        yield await made.open()
    finally:
        with suppress(Fenced):
            await made.store.release()

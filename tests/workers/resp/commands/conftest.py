"""A face without a network, and one client of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.workers.resp.inprocess import InProcess, Peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def face() -> AsyncIterator[InProcess]:
    """A face without a password."""
    async with InProcess() as made:
        yield made


@pytest.fixture
async def peer(face: InProcess) -> Peer:
    """A client of it."""
    return face.connect()

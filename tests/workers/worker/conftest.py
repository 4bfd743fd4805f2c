"""A worker of the test's own, in its process."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from tests.support import free_port
from workers.config.loading import checked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server import ValkeyServer
    from workers.config.settings import FleetSettings


@pytest.fixture
def usual_gc() -> Iterator[None]:
    """Sets right what a worker changes in its process."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.fixture
def alone(server: ValkeyServer) -> FleetSettings:
    """The settings of a fleet of one node, n1, on an empty Redis."""
    server.client().flushdb()
    ports = {face: f"127.0.0.1:{free_port()}" for face in ("grpc", "resp")}
    return checked({"nodes": {"n1": {**ports, "redis": server.url}}})

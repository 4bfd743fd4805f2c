"""A real server for the tests of the workers' rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server import ValkeyServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One Valkey for the tests of a module. A test that needs it empty flushes it."""
    valkey = ValkeyServer(tmp_path_factory.mktemp("valkey"), appendfsync="no").start()
    yield valkey
    valkey.stop()

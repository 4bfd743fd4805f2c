"""What tests of several rooms need: an empty Redis, a node on it, and processes that end with their test."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.workers.processes.programs import Started
from tests.workers.replication.bench import Bench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from redis import Redis

    from tests.server import ValkeyServer


@pytest.fixture
def client(server: ValkeyServer) -> Redis:
    """A client of the server, which is empty."""
    found = server.client()
    found.flushdb()
    return found


@pytest.fixture
async def bench(server: ValkeyServer) -> AsyncIterator[Bench]:
    """A node with its store and its links, whose commits go through."""
    async with Bench(server.url) as opened:
        opened.tap.back.set()
        yield opened


@pytest.fixture
def start(tmp_path):
    """Starts a process in the test's directory."""
    started: list[Started] = []

    def start(*arguments: str | Path, **options) -> Started:
        options.setdefault("cwd", tmp_path)
        started.append(Started(tmp_path / f"output{len(started)}", list(arguments), **options))
        return started[-1]

    yield start
    for output in started:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(output.process.pid, signal.SIGKILL)
        output.process.wait()

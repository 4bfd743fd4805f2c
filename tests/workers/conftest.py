"""A real server, and processes that end with their test, for the tests of the workers' rooms."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.server import ValkeyServer
from tests.workers.processes.programs import Started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One Valkey for the tests of a module. A test that needs it empty flushes it."""
    valkey = ValkeyServer(tmp_path_factory.mktemp("valkey"), appendfsync="no").start()
    yield valkey
    valkey.stop()


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

"""Processes of a test, which end with it."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from tests.workers.processes.programs import Started, fleet_file
from workers.config.loading import load_settings


@pytest.fixture
def start(tmp_path):
    """Starts a process in the test's directory."""
    started: list[Started] = []

    def start(*arguments: str, **options) -> Started:
        options.setdefault("cwd", tmp_path)
        started.append(Started(tmp_path / f"output{len(started)}", list(arguments), **options))
        return started[-1]

    yield start
    for output in started:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(output.process.pid, signal.SIGKILL)
        output.process.wait()


@pytest.fixture
def settings(tmp_path):
    return load_settings(fleet_file(tmp_path / "fleet.toml"))

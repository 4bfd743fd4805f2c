"""Waiting for a Redis that has not started yet."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import StoreUnavailable
from tests.server import ValkeyServer
from workers.wire.readiness import wait_for_redis

if TYPE_CHECKING:
    from pathlib import Path


def test_waiting_ends_when_the_server_comes(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        wait_for_redis(server.url, print, timeout_s=0.2)
    starting = threading.Timer(0.2, server.start)
    starting.start()
    reports: list[str] = []
    wait_for_redis(server.url, reports.append, timeout_s=20)
    starting.join()
    server.stop()


def test_a_refused_password_is_not_waited_for_and_not_shown(tmp_path: Path) -> None:
    secret = "s3cret"  # noqa: S105
    server = ValkeyServer(tmp_path, password=secret).start()
    try:
        with pytest.raises(StoreUnavailable, match="the server refuses the user or password") as refused:
            wait_for_redis(f"redis://:wr0ng@127.0.0.1:{server.port}/0", print)
        assert "wr0ng" not in str(refused.value)
    finally:
        server.stop()


def test_a_long_wait_is_one_line_and_so_is_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a Redis was frozen, the jobs and the scheduler each said so every five seconds."""
    server = ValkeyServer(tmp_path)
    clock = iter(range(0, 1000, 3))  # Every look at the clock finds it three seconds later.
    monkeypatch.setattr("workers.wire.readiness.monotonic", lambda: next(clock))
    reports: list[str] = []
    starting = threading.Timer(0.5, server.start)
    starting.start()
    wait_for_redis(server.url, reports.append, timeout_s=20)
    starting.join()
    server.stop()
    waiting, over = reports
    assert waiting.startswith(f"waiting for Redis at {server.url}: ")
    assert over.startswith(f"Redis at {server.url} answers, after ")


def test_the_password_is_not_in_what_it_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ValkeyServer(tmp_path)
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr("workers.wire.readiness.monotonic", lambda: next(clock))
    reports: list[str] = []
    with pytest.raises(StoreUnavailable):
        wait_for_redis(server.url.replace("redis://", "redis://:s3cret@"), reports.append, timeout_s=0.3)
    (report,) = reports
    assert report.startswith(f"waiting for Redis at redis://:***@127.0.0.1:{server.port}/0: ")

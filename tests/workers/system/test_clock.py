"""The clocks count in milliseconds."""

from __future__ import annotations

import time

from workers.system.clock import monotonic_ms, wall_ms


def test_wall_time_is_in_milliseconds_since_1970() -> None:
    before = time.time() * 1000
    now = wall_ms()
    after = time.time() * 1000
    assert before - 1 <= now <= after
    assert type(now) is int


def test_monotonic_time_never_falls_and_is_in_milliseconds() -> None:
    before = time.monotonic() * 1000
    readings = [monotonic_ms() for _ in range(1000)]
    after = time.monotonic() * 1000
    assert readings == sorted(readings)
    assert before - 1 <= readings[0] <= readings[-1] <= after

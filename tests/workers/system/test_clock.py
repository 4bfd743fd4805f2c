"""The clock counts in milliseconds."""

from __future__ import annotations

import time

from workers.system.clock import wall_ms


def test_wall_time_is_in_milliseconds_since_1970() -> None:
    before = time.time() * 1000
    now = wall_ms()
    after = time.time() * 1000
    assert before - 1 <= now <= after
    assert type(now) is int

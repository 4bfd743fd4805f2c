"""Reads the time of day, which the core gets as an argument.

Deadlines and durations are not in this time but in that of `time.monotonic`, which never falls or jumps.
"""

from __future__ import annotations

import time

__all__ = ["wall_ms"]


def wall_ms() -> int:
    """Return the milliseconds since 1970."""
    return time.time_ns() // 1_000_000

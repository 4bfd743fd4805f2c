"""Reads the system clocks. No other module of the workers reads them, and the core gets the time as an argument."""

from __future__ import annotations

import time

__all__ = ["monotonic_ms", "wall_ms"]


def monotonic_ms() -> int:
    """Return the milliseconds since an arbitrary moment. Unlike wall time, this number never falls or jumps."""
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    """Return the milliseconds since 1970."""
    return time.time_ns() // 1_000_000

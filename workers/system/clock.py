"""The clocks: the only place where a worker reads them. The core gets the time as an argument."""

from __future__ import annotations

import time

__all__ = ["monotonic_ms", "wall_ms"]


def monotonic_ms() -> int:
    """Milliseconds since some moment before the process began; unlike wall time, it neither falls nor jumps."""
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000

"""Threads of a soak that die: each is a violation, since what it was to do or to watch is not done from then on."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["deaths_noted"]


@contextlib.contextmanager
def deaths_noted(violations: list[str]) -> Iterator[None]:
    """Within it, every thread of this process that ends by an exception adds a line to `violations`."""
    before = threading.excepthook

    def note(death: threading.ExceptHookArgs) -> None:
        name = death.thread.name if death.thread is not None else "a thread"
        violations.append(f"{name} died of {death.exc_type.__name__}: {death.exc_value}")

    threading.excepthook = note
    try:
        yield
    finally:
        threading.excepthook = before

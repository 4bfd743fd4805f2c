"""The error that the simulator raises when something that must hold does not."""

from __future__ import annotations

__all__ = ["Violation", "require"]


class Violation(AssertionError):
    """`promise` was broken; `detail` says where."""

    def __init__(self, promise: str, detail: str = "") -> None:
        super().__init__(f"{promise}: {detail}" if detail else promise)
        self.promise = promise
        self.detail = detail


def require(holds: bool, promise: str, detail: str = "") -> None:
    """Raises `Violation` unless `holds`; `promise` names what is broken then."""
    if not holds:
        raise Violation(promise, detail)

"""How long a node that failed is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Backoff"]

_FIRST_S = 0.05


class Backoff:
    """For each node that failed, until when it is left alone.

    The pause doubles with each failure in a row, from 0.05 s up to `longest_s`. `chance` yields numbers from 0 to 1 and
    shortens a pause by up to half, so that clients that lost a node together do not all come back together.

    >>> backoff = Backoff(longest_s=0.15, chance=lambda: 0.0)
    >>> [backoff.failed("n1", now_s=10.0) for _ in range(3)]
    [10.05, 10.1, 10.15]
    >>> backoff.is_due("n1", 10.1), backoff.is_due("n1", 10.15), backoff.is_due("n2", 0.0)
    (False, True, True)
    """

    def __init__(self, longest_s: float, chance: Callable[[], float]) -> None:
        self._longest_s = longest_s
        self._chance = chance
        self._failures: dict[str, int] = {}
        self._until_s: dict[str, float] = {}

    def failed(self, node: str, now_s: float) -> float:
        """Count a failure of `node`; return until when the node is left alone."""
        failures = self._failures.get(node, 0)
        self._failures[node] = failures + 1
        self._until_s[node] = until_s = now_s + self._pause_s(failures) * (1 - self._chance() / 2)
        return until_s

    def succeeded(self, node: str) -> None:
        """Forget the failures of `node`."""
        if node in self._failures:
            self._failures.pop(node, None)
            self._until_s.pop(node, None)

    def has_failed(self, node: str) -> bool:
        """Whether the last attempt at `node` failed."""
        return node in self._failures

    def until_s(self, node: str) -> float:
        """Return until when `node` is left alone; a time in the past for a node that may be tried."""
        return self._until_s.get(node, 0.0)

    def is_due(self, node: str, now_s: float) -> bool:
        """Whether `node` may be tried."""
        return self.until_s(node) <= now_s

    def claim(self, node: str, now_s: float) -> None:
        """Keep other callers from `node` while one finds out whether it answers again."""
        failures = self._failures.get(node, 0)
        if failures:
            self._until_s[node] = now_s + self._pause_s(failures)

    def _pause_s(self, failures: int) -> float:
        return min(_FIRST_S * 2.0 ** min(failures, 30), self._longest_s)

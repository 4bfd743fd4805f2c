"""Every case by name, and what a run may choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bench.throughput import THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bench.figures import Figure
    from bench.processes import Site

__all__ = ["CASES", "Case", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured; `progress` is told what happens."""

    rounds: int
    seconds: float
    keys: int
    members: int
    probes: int
    progress: Callable[[str], None]


class Case(Protocol):
    """One setting of processes, and what is measured in it."""

    @property
    def name(self) -> str: ...

    @property
    def what(self) -> str: ...

    def measure(self, site: Site, options: Options) -> Iterator[Figure]:
        """The figures, as they come; the processes belong to `site`."""
        ...


CASES: Mapping[str, Case] = {case.name: case for case in (*THROUGHPUT,)}

"""Every case, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bench.grpc_calls import GrpcCalls
from bench.latency import Latency, LatencyUnderLoad
from bench.sizes import CatchUp, Costs, Million
from bench.throughput import THROUGHPUT, SetSizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.figures import Figure
    from bench.options import Options
    from bench.processes import Site

__all__ = ["CASES", "Case"]


class Case(Protocol):
    """One setting of processes, and what is measured in it."""

    @property
    def name(self) -> str: ...

    @property
    def what(self) -> str: ...

    def measure(self, site: Site, options: Options) -> Iterator[Figure]:
        """The figures, as they come; the processes belong to `site`."""
        ...


_ALL: tuple[Case, ...] = (
    *THROUGHPUT,
    SetSizes(),
    Latency(),
    LatencyUnderLoad(),
    CatchUp(),
    Costs(),
    Million(),
    GrpcCalls(),
)
CASES: Mapping[str, Case] = {case.name: case for case in _ALL}

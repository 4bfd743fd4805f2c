"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """`rounds` of about `seconds` each; `members` of a large set; `probes` of a latency in each round.

    `progress` is told what happens, a few words a time.
    """

    rounds: int
    seconds: float
    members: int
    probes: int
    progress: Callable[[str], None]

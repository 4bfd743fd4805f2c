"""The network of the bench: it delays, loses, doubles, re-orders and cuts what nodes say to each other.

Clients' messages never come here: they arrive at once and always, as in Maelstrom. A message that is under way when its
link is cut is lost, too.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Faults", "Network"]

HELD_BACK_MS_MAX = 300


@dataclass(frozen=True, slots=True)
class Faults:
    """What happens to messages between nodes; shares are of all messages, 0 to 1.

    `latency_ms`: of every message; its mean, where `latency` is `exponential`. `reordered`: the share that is held back
    by up to 300 ms more, and so overtaken.
    """

    latency_ms: float = 0.0
    latency: str = "constant"
    lost: float = 0.0
    doubled: float = 0.0
    reordered: float = 0.0


class Network:
    """The links between the nodes; `deliver(dest, line)` hands over a message that has arrived."""

    def __init__(self, faults: Faults, deliver: Callable[[str, bytes], None], seed: int) -> None:
        self.messages = 0
        self._faults = faults
        self._deliver = deliver
        self._random = random.Random(seed)
        self._side: dict[str, int] = {}

    def send(self, src: str, dest: str, line: bytes) -> None:
        """Takes a message over, and counts it, once, whatever becomes of it."""
        self.messages += 1
        if self._happens(self._faults.lost):
            return
        for _ in range(1 + self._happens(self._faults.doubled)):
            asyncio.get_running_loop().call_later(self._delay_s(), self._arrive, src, dest, line)

    def cut(self, *sides: Iterable[str]) -> None:
        """Nodes on different sides no longer hear each other."""
        self._side = {node: number for number, side in enumerate(sides) for node in side}

    def heal(self) -> None:
        """All links are whole again."""
        self._side = {}

    def _arrive(self, src: str, dest: str, line: bytes) -> None:
        if self._side.get(src) == self._side.get(dest):
            self._deliver(dest, line)

    def _delay_s(self) -> float:
        mean = self._faults.latency_ms
        delay_ms = self._random.expovariate(1 / mean) if mean and self._faults.latency == "exponential" else mean
        if self._happens(self._faults.reordered):
            delay_ms += self._random.uniform(0, HELD_BACK_MS_MAX)
        return delay_ms / 1000

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

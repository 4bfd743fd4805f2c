"""A load whose every call can be accounted for afterwards."""

from __future__ import annotations

import threading
import time
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Self

import grpc

from tests.client import NodeClient, connected
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Load"]

CALL_TIMEOUT_S = 3
# A server that stops cancels the calls that it had not begun to serve.
MAY_HAPPEN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}


class Kind(Enum):
    """What a call writes."""

    OWN_COUNTER = 0
    """Increments a counter that no other call uses."""
    ELEMENT = 1
    """Adds an element of its own to the set that all calls of a load share."""
    TOTAL = 2
    """Increments the counter that all calls of a load share."""


class Written(NamedTuple):
    """One call."""

    kind: Kind
    name: str


class Load:
    """A context manager: within it, writers write to one node as fast as it acknowledges.

    A call that was acknowledged must have taken effect exactly once, and one that failed, which may still have taken
    effect, at most once. A write counted twice cannot hide behind one that was lost: every third call increments a
    counter of its own, which then reads 1, or 0 or 1.
    """

    def __init__(self, address: str, writers: int = 4, prefix: str = "load") -> None:
        self._address = address
        self._prefix = prefix
        self.acknowledged: list[Written] = []
        self.failed: list[Written] = []
        self._unexpected: list[grpc.RpcError] = []
        self._begun: dict[int, float] = {}
        self._stop = threading.Event()
        self._writers = [threading.Thread(target=self._write, args=(writer,)) for writer in range(writers)]

    def __enter__(self) -> Self:
        for writer in self._writers:
            writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for writer in self._writers:
            writer.join()

    @property
    def _set(self) -> str:
        return f"{self._prefix}-elements"

    @property
    def _total(self) -> str:
        return f"{self._prefix}-total"

    def _write(self, writer: int) -> None:
        with connected(self._address) as node:
            for number in count():
                if self._stop.is_set():
                    return
                written = Written(Kind(number % len(Kind)), f"{self._prefix}-{writer}-{number}")
                self._begun[writer] = time.monotonic()
                try:
                    self._call(node, written)
                except grpc.RpcError as error:
                    self.failed.append(written)
                    if error.code() not in MAY_HAPPEN:
                        self._unexpected.append(error)
                    self._stop.wait(0.05)  # a node that refuses at once is not asked in a tight loop
                else:
                    self.acknowledged.append(written)

    def _call(self, node: NodeClient, written: Written) -> None:
        match written.kind:
            case Kind.OWN_COUNTER:
                node.increment(written.name, timeout=CALL_TIMEOUT_S)
            case Kind.ELEMENT:
                node.add(self._set, written.name, timeout=CALL_TIMEOUT_S)
            case Kind.TOTAL:
                node.increment(self._total, timeout=CALL_TIMEOUT_S)

    def wait_for_acknowledgements(self, more: int = 200, timeout: float = 90) -> None:
        """Returns once `more` writes have been acknowledged from now on."""
        goal = len(self.acknowledged) + more
        wait_until(lambda: len(self.acknowledged) >= goal, timeout, f"{goal} acknowledged writes")

    def wait_until_stalled(self) -> None:
        """Returns once the outage has reached every writer: it waits for an answer in vain, or has been refused."""
        began = time.monotonic()
        before = len(self.failed)

        def stalled() -> bool:
            now = time.monotonic()
            in_vain = all(start < now - 1 for start in self._begun.values())
            return in_vain or len(self.failed) >= before + len(self._writers)

        wait_until(stalled, timeout=30, what=f"an outage that began {began:.0f} to reach the writers")

    def check(self, node: NodeClient) -> None:
        """Accounts for every call, by what `node` reads now; to be called after the load has ended."""
        assert not self._unexpected, f"{len(self._unexpected)} unexpected errors, first {self._unexpected[0]}"
        certain, possible = _names(self.acknowledged, Kind.OWN_COUNTER), _names(self.failed, Kind.OWN_COUNTER)
        read = {name: node.counter(name) for name in certain | possible}
        assert not {name for name in certain if read[name] == 0}, "acknowledged and lost"
        assert not {name for name, value in read.items() if value > 1}, "counted twice"

        certain, possible = _names(self.acknowledged, Kind.ELEMENT), _names(self.failed, Kind.ELEMENT)
        elements = set(node.elements(self._set))
        assert certain <= elements, "acknowledged and lost"
        assert elements <= certain | possible, "nobody added it"

        least = len(_names(self.acknowledged, Kind.TOTAL))
        assert least <= node.counter(self._total) <= least + len(_names(self.failed, Kind.TOTAL))


def _names(calls: Iterable[Written], kind: Kind) -> set[str]:
    return {written.name for written in calls if written.kind is kind}

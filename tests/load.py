"""A load whose every call can be accounted for afterwards."""

from __future__ import annotations

import threading
import time
from itertools import count
from typing import Self

import grpc

from tests.client import NodeClient, connected
from tests.support import wait_until

__all__ = ["Load"]

CALL_TIMEOUT_S = 3
MAY_HAPPEN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


class Load:
    """A context manager: within it, writers increment counters of one node as fast as it acknowledges.

    Every call increments a counter of its own, so that a write counted twice cannot hide behind one that was lost: an
    acknowledged one must read 1, and one that failed, which may still have taken effect, 0 or 1.
    """

    def __init__(self, address: str, writers: int = 4, prefix: str = "load") -> None:
        self._address = address
        self._prefix = prefix
        self.acknowledged: list[str] = []
        self.failed: list[str] = []
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

    def _write(self, writer: int) -> None:
        with connected(self._address) as node:
            for number in count():
                if self._stop.is_set():
                    return
                key = f"{self._prefix}-{writer}-{number}"
                self._begun[writer] = time.monotonic()
                try:
                    node.increment(key, timeout=CALL_TIMEOUT_S)
                except grpc.RpcError as error:
                    self.failed.append(key)
                    if error.code() not in MAY_HAPPEN:
                        self._unexpected.append(error)
                    self._stop.wait(0.05)  # a node that refuses at once is not asked in a tight loop
                else:
                    self.acknowledged.append(key)

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
        read = {key: node.counter(key) for key in [*self.acknowledged, *self.failed]}
        assert not [key for key in self.acknowledged if read[key] == 0], "acknowledged and lost"
        assert not [key for key, value in read.items() if value > 1], "counted twice"

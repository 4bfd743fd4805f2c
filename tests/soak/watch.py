"""What is looked after during a soak: workers that ended are started again, jobs run, sizes are sampled."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Self

from redis.exceptions import RedisError

from crdt_core.errors import AlreadyRunning, DeltaicError, DigestMismatch, StoreUnavailable
from tests.support import resident_bytes
from workers.jobs import maintenance as jobs
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet import Fleet
    from tests.soak.faults import Faults

__all__ = ["Jobs", "Keeper", "Sampler", "Sizes"]

KILLED = -9
AGAIN = {KILLED, AlreadyRunning.exit_code, StoreUnavailable.exit_code}
"""Exit codes of workers that a keeper starts again without anybody having to ask why."""


class _Thread:
    """Does `work` every `interval_s` until told to stop. A context manager."""

    def __init__(self, work: Callable[[], None], interval_s: float) -> None:
        self._work = work
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._work()


class Keeper(_Thread):
    """Starts workers again that have ended, as `deltaic keep` would; notes those that nobody had killed."""

    def __init__(self, fleet: Fleet, faults: Faults) -> None:
        super().__init__(self._look, 0.3)
        self._fleet = fleet
        self._faults = faults
        self.restarts = 0
        self.violations: list[str] = []

    def _look(self) -> None:
        for name, node in self._fleet.nodes.items():
            if node.running or name in self._faults.held:
                continue
            code = node.exit_code()
            if code not in AGAIN:
                self.violations.append(f"the worker of {name} ended with {code}: {node.last_words(3)}")
            node.start()
            self.restarts += 1


class Jobs:
    """The periodic jobs of every node, as RQ runs them but in threads of this process. A context manager.

    `runs` counts how they ended; a digest that differs is an alarm.
    """

    def __init__(self, fleet: Fleet, interval_s: float = 1.0) -> None:
        self.runs: Counter[str] = Counter()
        self.alarms: list[str] = []
        self._threads = [_Thread(lambda name=name: self._run(name), interval_s) for name in fleet.nodes]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.__exit__()

    def _run(self, name: str) -> None:
        for job in (jobs.gossip_round, jobs.compact, jobs.audit):
            try:
                job(name)
                self.runs[f"{job.__name__} done"] += 1
            except DigestMismatch as error:
                self.alarms.append(str(error))
            except (DeltaicError, RedisError, OSError, TimeoutError):
                self.runs[f"{job.__name__} in vain"] += 1


class Sizes:
    """One figure of all nodes over time, in its unit."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float]] = []

    def add(self, at_s: float, value: float) -> None:
        self._samples.append((at_s, value))

    @property
    def peak(self) -> float:
        return max((value for _, value in self._samples), default=0)

    @property
    def begin(self) -> float:
        """The median of the second tenth of the time: the working set is there by then."""
        return self._median(0.1, 0.2)

    @property
    def end(self) -> float:
        """The median of the last tenth."""
        return self._median(0.9, 1.0)

    def _median(self, start: float, stop: float) -> float:
        if not self._samples:
            return 0
        first_s, last_s = self._samples[0][0], self._samples[-1][0]
        span_s = (last_s - first_s) or 1
        chosen = [value for at_s, value in self._samples if start <= (at_s - first_s) / span_s <= stop]
        return statistics.median(chosen or [self._samples[-1][1]])


class Sampler(_Thread):
    """Samples, for every node, what its processes hold and how long its streams are."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(self._sample, 1.0)
        self._fleet = fleet
        self.sizes: dict[str, dict[str, Sizes]] = defaultdict(lambda: defaultdict(Sizes))

    def _sample(self) -> None:
        now_s = time.monotonic()
        for name, node in self._fleet.nodes.items():
            pid = node.pid
            if pid is not None:
                with contextlib.suppress(OSError, IndexError):
                    self._add("worker MB", name, now_s, resident_bytes(pid) / 2**20)
            with contextlib.suppress(RedisError):
                self._sample_redis(name, now_s)

    def _sample_redis(self, name: str, now_s: float) -> None:
        with self._fleet.valkeys[name].client(timeout_s=0.5) as redis:
            self._add("Valkey MB", name, now_s, int(redis.info("memory")["used_memory"]) / 2**20)
            keys = Keys(name, (redis.hget(Keys(name).header, "replica") or name.encode()).decode())
            self._add("inbox entries", name, now_s, redis.xlen(keys.inbox))
            self._add("log entries", name, now_s, redis.xlen(keys.log))

    def _add(self, what: str, name: str, now_s: float, value: float) -> None:
        self.sizes[what][name].add(now_s, value)

"""What goes wrong in a soak: one random fault after another, each at a node that nothing is wrong with at the time.

Faults overlap, but for those that take away what only one node has: before a Redis is set back together with its
worker, or damaged while that does not run, somebody else must have all that the node had (or, where its log stays, all
but what stands there), and all others are well until it is back. While a Redis is damaged under its worker, that worker
is left alone until all is whole again. So nothing acknowledged may ever be lost, and the final audit need not excuse
anything. Where nobody else comes to have it in time, nothing is damaged, and the fault is counted as spared.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections import Counter
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from tests.soak.namesakes import add_two_machines, run_a_second_worker
from tests.soak.stored import alter_fields, delete_keys, state_keys, wait_until_whole
from tests.support import DELTAIC, wait_until
from workers.storage.evidence import evidence_commands, evidence_of
from workers.wire.keys import PAUSED, Keys

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from crdt_core.membership.evidence import NodeEvidence
    from tests.fleet import Fleet
    from tests.soak.ledger import Ledger

__all__ = ["Faults"]

RECOVERY_S = 60.0
TOLD_S = 6.0
WITH_LOSS = "with loss"
SPARED = "spared"
SERVED_TWICE = "machines that served under one name"


class Faults:
    """Runs faults on `fleet` until told to stop.

    `counts`: how often each kind happened; `notes`: how many of them took something away, or spared a node because
    nobody else had what it had; `failures`: what did not heal. `held`: the nodes whose worker is down on purpose, which
    nobody is to start. `ledger` has what faults themselves write. `writes_s`: how long a node under load may take until
    it commits something; `told_s`: how long others may take to hear of it.
    """

    def __init__(
        self,
        fleet: Fleet,
        chance: random.Random,
        interval_s: float,
        stop: threading.Event,
        ledger: Ledger,
        *,
        writes_s: float = RECOVERY_S,
        told_s: float = TOLD_S,
    ) -> None:
        self.fleet = fleet
        self.writes_s = writes_s
        self.told_s = told_s
        self.counts: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.failures: list[str] = []
        self.held: set[str] = set()
        self._chance = chance
        self._ledger = ledger
        self._machines = 0
        self._interval_s = interval_s
        self._stop = stop
        self._busy: set[str] = set()
        self._lossy = False
        self._lock = threading.Lock()
        self._copies: dict[str, Path] = {}
        self._running: list[threading.Thread] = []

    def run(self) -> None:
        """Returns when told to stop and every fault is over."""
        while not self._stop.wait(self._chance.uniform(0.5, 1.5) * self._interval_s):
            self._begin()
        for thread in self._running:
            thread.join()

    def _begin(self) -> None:
        kinds: list[tuple[int, Callable[[str], None]]] = [
            (4, self.worker_killed),
            (3, self.redis_killed),
            (2, self.both_killed),
            (2, self.worker_frozen),
            (2, self.redis_frozen),
            (3, self.partitioned),
            (2, self.log_trimmed),
            (2, self.memory_full),
            (2, self.redis_set_back),
            (2, self.redis_and_worker_set_back),
            (2, self.restored_from_backup),
            (1, self.worker_away),
            (3, self.keys_deleted),
            (3, self.fields_altered),
            (3, self.keys_evicted),
            (5, self.damaged_while_away),
            (3, self.emptied_while_away),
            (1, self.second_worker),
            (4, self.two_machines_added),
        ]
        _, kind = self._chance.choices(kinds, [weight for weight, _ in kinds])[0]
        lossy = kind in {
            self.redis_and_worker_set_back,
            self.restored_from_backup,
            self.damaged_while_away,
            self.emptied_while_away,
            self.two_machines_added,
        }
        with self._lock:
            free = [name for name in self.fleet.nodes if name not in self._busy]
            if self._lossy or len(free) < 2 or (lossy and self._busy):
                return
            name = self._chance.choice(free)
            self._busy.add(name)
            self._lossy = lossy
        thread = threading.Thread(target=self._do, args=(kind, name, lossy))
        self._running.append(thread)
        thread.start()

    def _do(self, kind: Callable[[str], None], name: str, lossy: bool) -> None:
        title = kind.__name__.replace("_", " ")
        try:
            kind(name)
            wait_until(self.fleet[name].is_serving, RECOVERY_S, f"{name} to serve again")
        except Exception as error:  # noqa: BLE001  a fault that fails, however it does, must be told and not end the others
            self.failures.append(f"{title} at {name}: {error!r}")
        finally:
            with self._lock:
                self._busy.discard(name)
                self._lossy = self._lossy and not lossy
                self.counts[title] += 1

    def copy_files(self, name: str) -> None:
        """Keeps a copy of what the node's Redis has on disk, to set it back to later; as it stands at one moment."""
        server = self.fleet.valkeys[name]
        target = server.directory.with_name(f"{server.directory.name}-copy")
        server.suspend()
        try:
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(server.directory, target)
        finally:
            server.resume()
        self._copies[name] = target

    # The faults

    def worker_killed(self, name: str) -> None:
        self.fleet[name].kill()

    def redis_killed(self, name: str) -> None:
        self.fleet.valkeys[name].kill()
        self._wait(2)
        self.fleet.valkeys[name].start()

    def both_killed(self, name: str) -> None:
        with self._worker_down(name):
            self.fleet.valkeys[name].kill()
            self._wait(1)
            self.fleet.valkeys[name].start()

    def worker_frozen(self, name: str) -> None:
        self.fleet[name].suspend()
        self._wait(4)
        self.fleet[name].resume()

    def redis_frozen(self, name: str) -> None:
        self.fleet.valkeys[name].suspend()
        self._wait(4)
        self.fleet.valkeys[name].resume()

    def partitioned(self, name: str) -> None:
        """Nobody of one side hears the other, or only in one direction."""
        others = [peer for peer in self.fleet.nodes if peer != name]
        side = self._chance.sample(others, self._chance.randint(1, len(others)))
        both = self._chance.random() < 0.7
        cuts = [(name, peer) for peer in side] + [(peer, name) for peer in side if both]
        for here, there in cuts:
            with contextlib.suppress(RedisError):
                self.fleet.set_link(here, there, PAUSED)
        self._wait(6)
        for here, there in cuts:
            wait_until(lambda here=here, there=there: self._opened(here, there), RECOVERY_S, "a link to be opened")

    def log_trimmed(self, name: str) -> None:
        redis = self.fleet.redis(name)
        redis.xtrim(Keys(name, self._evidence(name).replica).log, maxlen=0, approximate=False)

    def memory_full(self, name: str) -> None:
        """Redis takes no more writes, and then does again."""
        redis = self.fleet.redis(name)
        redis.config_set("maxmemory", "1mb")
        self._wait(3)
        redis.config_set("maxmemory", "0")

    def redis_set_back(self, name: str) -> None:
        """Redis comes back with what it had some time ago, to a worker that knows better."""
        self.copy_files(name)
        self._wait(3)
        before = self._turn(name)
        self._set_back(name)
        wait_until(lambda: self._turn(name) > before, RECOVERY_S, f"{name} to give it back")

    def redis_and_worker_set_back(self, name: str) -> None:
        """Redis has lost commits, and so has its worker: what it had done is only with others."""
        self.copy_files(name)
        self._until_more_to_lose(name)
        with self._worker_down(name):
            if self._becomes_known_to_another(name):
                self._set_back(name)
                self.notes[WITH_LOSS] += 1

    def restored_from_backup(self, name: str) -> None:
        """The node starts again from what it was some time ago."""
        image = self.fleet.directory / f"{name}.image"
        self._deltaic("backup", image, "--node", name)
        self._until_more_to_lose(name)
        with self._worker_down(name):
            if self._becomes_known_to_another(name):
                self._deltaic("restore", image, "--node", name, "--force")
                self.notes[WITH_LOSS] += 1

    def worker_away(self, name: str) -> None:
        """For so long that its peers have to keep for it what it lacks, or to give it more than their logs hold."""
        with self._worker_down(name):
            self._wait(15)

    def keys_deleted(self, name: str) -> None:
        """Somebody deletes keys of the node under its worker, the header and the streams among them."""
        redis = self.fleet.redis(name)
        keys = sorted(redis.scan_iter(f"{Keys(name).header}*", count=1000))
        delete_keys(redis, keys, self._chance)
        self._until_whole(name)

    def fields_altered(self, name: str) -> None:
        """Somebody deletes or alters records under the worker."""
        redis = self.fleet.redis(name)
        alter_fields(redis, state_keys(redis, name), self._chance)
        self._until_whole(name)

    def keys_evicted(self, name: str) -> None:
        """Redis evicts keys under its worker, because somebody has limited its memory and lets it."""
        redis, node = self.fleet.redis(name), self.fleet[name]
        warned = node.times_logged("eviction_enabled")
        before = redis.info("stats")["evicted_keys"]
        redis.config_set("maxmemory-policy", self._chance.choice(("allkeys-lru", "allkeys-random")))
        try:
            wait_until(lambda: node.times_logged("eviction_enabled") > warned, RECOVERY_S, f"{name} to warn")
            memory = redis.info("memory")
            data = memory["used_memory"] - memory["used_memory_startup"]
            redis.config_set("maxmemory", memory["used_memory"] - int(data * self._chance.uniform(0.1, 0.9)))
            wait_until(lambda: redis.info("stats")["evicted_keys"] > before, RECOVERY_S, "something to be evicted")
            self._wait(3)
        finally:
            redis.config_set("maxmemory", "0")
            redis.config_set("maxmemory-policy", "noeviction")
        self._until_whole(name)

    def damaged_while_away(self, name: str) -> None:
        """Keys or records are gone, or are others, when the worker starts: it must not serve that."""
        redis = self.fleet.redis(name)
        with self._worker_down(name):
            if not self._becomes_known_to_another(name, but_for_log=True):
                self.notes[SPARED] += 1
                return
            before = self._evidence(name).replica
            damage = self._chance.choice((delete_keys, alter_fields))
            damage(redis, state_keys(redis, name), self._chance)
        wait_until(lambda: self._evidence(name).replica != before, RECOVERY_S, f"{name} to notice the damage")
        self._until_whole(name)
        self.notes[WITH_LOSS] += 1

    def emptied_while_away(self, name: str) -> None:
        """Any keys of the node are gone when its worker starts, its header and its log among them, or all."""
        redis = self.fleet.redis(name)
        with self._worker_down(name):
            if not self._becomes_known_to_another(name):
                self.notes[SPARED] += 1
                return
            keys = sorted(redis.scan_iter(f"{Keys(name).header}*", count=1000))
            delete_keys(redis, keys, self._chance)
        self._until_whole(name)
        self.notes[WITH_LOSS] += 1

    def second_worker(self, name: str) -> None:
        """Somebody starts the node's worker on another machine, where it has an empty Redis."""
        run_a_second_worker(self.fleet, name, lambda: self._wait(18))

    def two_machines_added(self, _name: str) -> None:
        """Two machines are added under one name, on both sides of a partition."""
        self._machines += 1
        served = add_two_machines(self.fleet, f"m{self._machines}", self._chance, self._ledger)
        self.notes[SERVED_TWICE] += served

    # Their parts

    def _until_whole(self, name: str) -> None:
        wait_until_whole(self.fleet.redis(name), name, RECOVERY_S)

    def _deltaic(self, *words: str | Path) -> None:
        command = [DELTAIC, "--file", self.fleet.directory / "fleet.toml", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=RECOVERY_S)
        if done.returncode:
            raise OSError(f"{words[0]} ended with {done.returncode}: {done.stderr}")

    def _turn(self, name: str) -> int:
        """How many commits the node's Redis has confirmed; none as long as it does not say."""
        with contextlib.suppress(RedisError):
            return int(self.fleet.redis(name).hget(Keys(name).header, "turn") or 0)
        return 0

    def _until_more_to_lose(self, name: str) -> None:
        """Returns after a while, when the node has made commits that no copy of before has; fails if it makes none."""
        before = self._own_commits(name)
        self._wait(3)
        wait_until(lambda: self._own_commits(name) > before, self.writes_s, f"{name} to commit what it can lose")

    def _own_commits(self, name: str) -> int:
        evidence = self._evidence(name)
        return evidence.clock.get(evidence.replica, 0)

    def _becomes_known_to_another(self, name: str, *, but_for_log: bool = False) -> bool:
        """Whether somebody comes to have all that node `name`, whose worker is down, has.

        `but_for_log`: the commits that the node's log has need not be known.
        """
        own = self._evidence(name)
        logged = self._logged(name, own.replica) if but_for_log else frozenset()
        others = [peer for peer in self.fleet.nodes if peer != name]
        with contextlib.suppress(AssertionError):
            return wait_until(
                lambda: any(_has_all(self._evidence(peer), own, logged) for peer in others),
                self.told_s,
                "it to be known",
            )
        return False

    def _logged(self, name: str, replica: str) -> frozenset[int]:
        """The counters of the commits in the log of `replica`."""
        entries = self.fleet.redis(name).xrange(Keys(name, replica).log)
        return frozenset(int(entry.partition(b"-")[0]) for entry, _ in entries)

    @contextlib.contextmanager
    def _worker_down(self, name: str) -> Iterator[None]:
        self.held.add(name)
        try:
            if self.fleet[name].running:
                self.fleet[name].kill()
            yield
        finally:
            self.held.discard(name)

    def _set_back(self, name: str) -> None:
        server = self.fleet.valkeys[name]
        server.kill()
        shutil.rmtree(server.directory)
        shutil.copytree(self._copies[name], server.directory)
        server.start()

    def _wait(self, longest_s: float) -> None:
        """Let a fault last a while; the end of the run ends it early."""
        self._stop.wait(self._chance.uniform(0.3, 1) * longest_s)

    def _opened(self, name: str, peer: str) -> bool:
        with contextlib.suppress(RedisError):
            self.fleet.set_link(name, peer, "open")
            return True
        return False

    def _evidence(self, name: str) -> NodeEvidence:
        return evidence_of(
            name, [self.fleet.redis(name).execute_command(*question) for question in evidence_commands(name)]
        )


def _has_all(record: NodeEvidence, own: NodeEvidence, logged: frozenset[int]) -> bool:
    """Whether whoever published `record` has seen all that the other has, but for commits of its own in `logged`."""

    def lacks(id_: str, counter: int) -> bool:
        seen = record.clock.get(id_, record.members.folded.get(id_, 0))
        return not (logged.issuperset(range(seen + 1, counter + 1)) if id_ == own.replica else counter <= seen)

    return not any(lacks(id_, counter) for id_, counter in own.clock.items())

"""Large patches between real workers: in bounded messages, while the nodes go on answering."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

import pytest
from redis.exceptions import RedisError

from crdt_core.codec.messages import Round
from crdt_core.codec.patches import patch_value
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from tests.fleet import Fleet
from tests.support import cpu_s
from workers.wire.keys import MESSAGE_FIELD, Keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMBERS = 100_000
CHUNK_BYTES = 64 << 10
WORK_S_MAX = 5.0
"""Of the two workers' processor time, so much at most may pass until both have answered."""


class Watcher:
    """Sees the messages that come into a node's inbox (most of them: one may be taken out before it looks)."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.sizes: list[int] = []
        self._key = Keys(name).inbox
        self._redis = fleet.valkeys[name].client()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._redis.close()

    def _watch(self) -> None:
        last: Any = "$"
        while not self._stop.is_set():
            try:
                reply: Any = self._redis.xread({self._key: last}, block=100)
            except RedisError:
                return
            for _, entries in reply:
                self.sizes.extend(len(fields[MESSAGE_FIELD]) for _, fields in entries)
                last = entries[-1][0]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory: Path = tmp_path_factory.mktemp("transfer")
    with Fleet(directory, nodes=2, gossip={"chunk_bytes": CHUNK_BYTES}) as fleet:
        yield fleet


def large_state() -> dict[str, Any]:
    """The full state of a replica that is no node and has a large set."""
    author = Replica("author")
    for number in range(MEMBERS):
        author.write(b"large", ORSET, b"member-%06d" % number, True)
    author.commit(Stamp(1, 0))
    return patch_value(author.patch(None, Stamp(1, 0)))


def work_s(fleet: Fleet) -> float:
    """What the workers have computed so far, in seconds."""
    return sum(cpu_s(node.pid) for node in fleet.nodes.values())


def test_a_node_that_is_behind_by_a_large_set_catches_up_in_small_messages_and_answers_meanwhile(fleet: Fleet) -> None:
    fleet.cut(["n1"], ["n2"])
    assert fleet["n2"].merge(large_state()) == MEMBERS
    before = fleet["n1"].metrics()["chunks_received"]
    slowest_s, calls = 0.0, 0
    with Watcher(fleet, "n1") as watcher:
        fleet.heal()
        fleet.tell("n1", Round("large", ("n2",), fleet["n1"].keys.answer("large")))
        while "author" not in fleet["n1"].clock():
            begun = work_s(fleet)
            for name in ("n1", "n2"):
                fleet[name].increment(f"meanwhile at {name}")
            slowest_s, calls = max(slowest_s, work_s(fleet) - begun), calls + 1
    assert fleet["n1"].metrics()["chunks_received"] - before > 40
    assert len(watcher.sizes) > 20
    assert max(watcher.sizes) <= CHUNK_BYTES
    assert calls > 5
    assert slowest_s < WORK_S_MAX, "a turn that joins all of it is the longest"
    fleet.agree()
    assert len(fleet["n1"].elements("large")) == MEMBERS
    assert fleet.everywhere("counter", "meanwhile at n1") == fleet.everywhere("counter", "meanwhile at n2")
    assert fleet["n2"].counter("meanwhile at n1") == calls

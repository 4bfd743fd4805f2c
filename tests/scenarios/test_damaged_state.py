"""A Redis that does not hold what it had confirmed: no node serves what is left as if nothing was missing.

A key is deleted, as by hand or by an eviction, while the worker does not run. A node without peers is tested in
`tests.workers.worker.test_life`, and what happens while the worker runs in `tests.workers.storage.test_proofreading`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fleet import Fleet
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

MEMBERS = [f"member {number:02}" for number in range(50)]


def test_a_set_that_vanished_while_its_node_was_stopped_comes_back_from_a_peer(tmp_path: Path, key: str) -> None:
    """The set was gone, the digest as before, and no audit saw anything."""
    with Fleet(tmp_path, nodes=2) as fleet:
        n1, redis = fleet["n1"], fleet.redis()
        n1.add(key, *MEMBERS)
        n1.increment("hits")
        fleet.agree()
        fleet.cut(["n1"], ["n2"])
        n1.increment("hits", 10)  # only n1 has it
        assert n1.stop() == 0
        assert redis.delete(f"{n1.keys.header}:obj:{key}")
        fleet.heal()
        n1.start().wait_until_serving()
        assert n1.replica_id() == "n1.2"
        assert n1.elements(key) == MEMBERS
        wait_until(lambda: n1.counter("hits") == 11, what="n1 to repeat what only it had written")
        fleet.agree()
        assert fleet.everywhere("counter", "hits") == [11, 11]
        assert f"deltaic:{{n1}}:obj:{key} is gone" in n1.last_words()

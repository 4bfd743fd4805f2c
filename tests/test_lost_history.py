"""A Redis that has lost what it had confirmed: its worker stops and says so, rather than spend dots twice.

A dot spent twice would overwrite, at the peers, the very writes that only they still have.
"""

from __future__ import annotations

import shutil

from crdt_core.errors import InvariantBroken
from tests.fleet import Fleet


def test_a_worker_does_not_start_on_a_redis_that_was_set_back(tmp_path, key):
    """The machine went down with its worker, and an older state came back: the peers have seen more of n1 than that."""
    with Fleet(tmp_path / "fleet", nodes=3, valkey_each=True) as fleet:
        n1, valkey = fleet["n1"], fleet.valkeys["n1"]
        n1.increment(key)
        fleet.agree()
        assert n1.stop() == 0
        valkey.stop()
        shutil.copytree(valkey.directory, tmp_path / "older")
        valkey.start()
        n1.start().wait_until_serving()
        for _ in range(3):
            n1.increment(key, 10)
        fleet.agree()

        n1.kill()
        valkey.kill()
        shutil.rmtree(valkey.directory)
        shutil.copytree(tmp_path / "older", valkey.directory)
        valkey.start()
        fleet["n2"].stop()  # whom it cannot ask does not keep it from asking the other
        fleet.valkeys["n2"].stop()
        assert n1.start().exit_code() == InvariantBroken.exit_code
        assert "the Redis of n1 has lost commits: it is at 1, and n3 has seen 4" in n1.last_words()
        assert fleet["n3"].counter(key) == 31


def test_a_worker_stops_when_its_redis_was_emptied(tmp_path, key):
    with Fleet(tmp_path, nodes=2, valkey_each=True) as fleet:
        fleet["n1"].increment(key)
        fleet.agree()
        fleet.redis("n1").flushall()
        assert fleet["n1"].exit_code() == InvariantBroken.exit_code
        assert fleet["n2"].counter(key) == 1

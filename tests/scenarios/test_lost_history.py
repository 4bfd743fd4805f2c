"""A Redis that has lost what it had confirmed: a live worker gives it everything back, out of its memory.

One that starts on it knows nothing, and must not spend dots twice: that would overwrite, at the peers, the very writes
that only they still have.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import orjson

from crdt_core.errors import InvariantBroken
from tests.fleet import Fleet
from tests.load import Load
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server import ValkeyServer


def test_a_worker_that_starts_on_a_redis_that_was_set_back_comes_back_under_a_new_id(tmp_path, key):
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
        assert n1.replica_id() == "n1.2"  # n2 and n3 may have known what a restarted Redis could have lost
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
        n1.start().wait_until_serving()
        assert n1.replica_id().startswith("n1.3-")  # n2 might know of an n1.3 that nobody else has heard of
        assert n1.counter(key) == 31
        n1.increment(key, 100)
        fleet.agree("n1", "n3")
        assert fleet["n3"].counter(key) == 131


def set_back(valkey: ValkeyServer, older: Path) -> None:
    """The server dies, and comes back with an older copy of its files."""
    valkey.kill()
    shutil.rmtree(valkey.directory)
    shutil.copytree(older, valkey.directory)
    valkey.start()


def test_a_lost_commit_that_waits_in_the_inbox_of_a_peer_is_not_taken_for_the_one_that_has_its_dot(tmp_path, key):
    """n2 is down, so n1 cannot tell from its header what its inbox holds, and uses the dot of the lost commit again."""
    with Fleet(tmp_path / "fleet", nodes=2, valkey_each=True) as fleet:
        n1, n2, valkey = fleet["n1"], fleet["n2"], fleet.valkeys["n1"]
        n1.increment(key)
        fleet.agree()
        n2.kill()
        wait_until(lambda: not fleet.redis("n2").exists(n2.keys.alive), what="n2 to count as down")
        valkey.kill()
        shutil.copytree(valkey.directory, tmp_path / "older")
        valkey.start()
        n1.add(f"{key} set", "lost")
        lost = n1.patch({"n1": 1})
        fleet.tell("n2", b'{"v":1,"kind":"push","from":"n1","round":"none","patch":%s}' % orjson.dumps(lost))
        n1.kill()
        set_back(valkey, tmp_path / "older")
        n1.start().wait_until_serving()
        n1.add(f"{key} set", "kept")
        assert (n1.replica_id(), n1.clock()) == ("n1", lost["clock"])
        n2.start().wait_until_serving()
        fleet.agree()
        assert fleet.everywhere("elements", f"{key} set") == [["kept"], ["kept"]]


def test_an_emptied_redis_is_given_everything_back_by_its_worker(tmp_path, key):
    """Nobody writes: the worker notices by itself. Whom it does not listen to is not let in meanwhile."""
    with Fleet(tmp_path, nodes=3, valkey_each=True) as fleet:
        n1, redis = fleet["n1"], fleet.redis("n1")
        n1.increment(key)
        n1.add(f"{key} set", "a", "b")
        fleet.agree()
        n1.partition("n3")
        before = n1.status()
        redis.flushall()
        fleet["n3"].increment(key, 100)
        wait_until(lambda: n1.metrics()["repersisted"], what="n1 to give its Redis everything back")
        assert (n1.clock(), n1.digest(), n1.status().links) == (before.clock, before.digest, before.links)
        assert redis.hgetall(n1.keys.links) == {b"n3": b"paused"}
        assert redis.hget(n1.keys.header, "run_id").decode() == redis.info("server")["run_id"]
        assert n1.increment(key, 10) == 11
        n1.heal("n3")
        fleet.sync_all()
        fleet.agree()
        assert fleet.everywhere("counter", key) == [111] * 3
        n1.kill()
        n1.start().wait_until_serving()
        assert (n1.counter(key), n1.elements(f"{key} set")) == (111, ["a", "b"])


def test_a_redis_for_all_nodes_that_was_emptied_is_given_all_of_them_back(tmp_path, key):
    with Fleet(tmp_path, nodes=3) as fleet:
        for node in fleet.nodes.values():
            node.increment(key)
        fleet.agree()
        fleet.redis().flushall()
        for node in fleet.nodes.values():
            wait_until(lambda node=node: node.metrics()["repersisted"], what=f"{node.name} to give everything back")
        assert fleet.everywhere("counter", key) == [3] * 3
        for node in fleet.nodes.values():
            node.increment(key, 10)
        fleet.agree()
        assert fleet.everywhere("counter", key) == [33] * 3


def test_a_redis_that_is_set_back_under_load_loses_nothing_that_was_acknowledged(tmp_path, key):
    """Killed without having synced, and started from an older copy, twice; no dot says two things."""
    with Fleet(tmp_path / "fleet", nodes=2, valkey_each=True) as fleet:
        n1, valkey, said = fleet["n1"], fleet.valkeys["n1"], {}
        with Load(n1.address, 3, key) as load:
            load.wait_for_acknowledgements(50)
            valkey.kill()
            shutil.copytree(valkey.directory, tmp_path / "older")
            valkey.start()
            for times in (1, 2):
                load.wait_for_acknowledgements(100)
                note_log(fleet, said)
                set_back(valkey, tmp_path / "older")
                wait_until(lambda times=times: n1.metrics()["repersisted"] >= times, 20, "n1 to give everything back")
                load.wait_for_acknowledgements(100)
                note_log(fleet, said)
        fleet.agree()
        load.check(n1)
        load.check(fleet["n2"])
        assert n1.running
        n1.kill()
        n1.start().wait_until_serving()
        load.check(n1)
        fleet.agree()


def note_log(fleet: Fleet, said: dict[bytes, object]) -> None:
    """Adds what n1's log says now to what it has `said`; the same dot must say the same thing."""
    for entry, fields in fleet.redis("n1").xrange(fleet["n1"].keys.log):
        assert said.setdefault(entry, fields) == fields, f"{entry} was spent twice"


def test_a_worker_whose_history_went_on_without_it_does_not_give_its_own_back(tmp_path, key):
    """While it was frozen, Redis was set back, and another process went on from there. Only a peer still tells."""
    with Fleet(tmp_path / "fleet", nodes=2, valkey_each=True) as fleet:
        n1, valkey = fleet["n1"], fleet.valkeys["n1"]
        n1.increment(key)
        fleet.agree()
        n1.suspend()
        other = fleet.elsewhere("n1").start("--takeover").wait_until_serving()
        for _ in range(3):
            other.increment(key)
        fleet["n2"].sync()
        wait_until(lambda: fleet["n2"].counter(key) == 4, what="n2 to have what the other wrote")
        other.kill()
        valkey.client().flushall()
        n1.resume()
        assert n1.exit_code() == InvariantBroken.exit_code
        assert not valkey.client().exists(n1.keys.state)
        assert fleet["n2"].counter(key) == 4

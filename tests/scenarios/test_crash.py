"""Nothing acknowledged is lost and nothing counts twice, whatever is killed, frozen, replaced or cut in the middle.

Redis syncs before it answers (`appendfsync always`), so what it has confirmed survives its own end too.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from crdt_core.codec.messages import Round
from crdt_core.errors import AlreadyRunning, Fenced, StoreUnavailable
from tests.fleet import Fleet
from tests.load import Load
from tests.support import wait_until
from workers.wire.keys import FLEET, GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = ("n1", "n2", "n3", "n4", "n5")


@pytest.fixture(scope="module")
def five(tmp_path_factory) -> Iterator[Fleet]:
    """Five nodes; a test may do to them whatever it wants."""
    with Fleet(tmp_path_factory.mktemp("crash"), appendfsync="always") as fleet:
        yield fleet


@pytest.fixture
def fleet(five) -> Iterator[Fleet]:
    """All nodes are up before each test, as `deltaic replica` starts them."""
    for node in five.nodes.values():
        if not node.running:
            node.start()
    for node in five.nodes.values():
        node.wait_until_serving()
    five.agree()
    return five


@contextmanager
def load_on(fleet: Fleet, key: str, *names: str) -> Iterator[dict[str, Load]]:
    """One writer at each of the nodes, each with keys of its own; all have written already."""
    with ExitStack() as stack:
        loads = {name: stack.enter_context(Load(fleet[name].address, 1, f"{key} {name}")) for name in names}
        written(loads)
        yield loads


def written(loads: dict[str, Load], *names: str) -> None:
    """Returns once more writes have been acknowledged at each of the nodes."""
    for name in names or loads:
        loads[name].wait_for_acknowledgements(40)


def check_everywhere(fleet: Fleet, loads: dict[str, Load]) -> None:
    """All nodes agree, on all that was acknowledged, once; and every node has one history."""
    fleet.agree()
    for name, load in loads.items():
        load.check(fleet[name])
        load.check(fleet[ALL[(ALL.index(name) + 1) % len(ALL)]])
        check_history(fleet, name)


def check_history(fleet: Fleet, name: str) -> None:
    """The node's log counts its commits one by one: no dot is missing, and none was spent twice."""
    counters = [int(entry.removesuffix("-0")) for entry in fleet.own_log(name)]
    assert counters == list(range(1, counters[-1] + 1))


# Killed -----------------------------------------------------------------------------------------------------------


def test_two_of_five_workers_are_killed_under_load_and_come_back(fleet, key):
    with load_on(fleet, key, *ALL) as loads:
        for name in ("n1", "n2"):
            fleet[name].kill()
        written(loads, "n3", "n4", "n5")
        for name in ("n1", "n2"):
            fleet[name].start()
        written(loads)
    check_everywhere(fleet, loads)


def test_all_five_workers_are_killed_at_once_under_load(fleet, key):
    with load_on(fleet, key, *ALL) as loads:
        for node in fleet.nodes.values():
            node.kill()
        for node in fleet.nodes.values():
            node.start()
        written(loads)
    check_everywhere(fleet, loads)


def test_redis_is_killed_under_load_and_the_workers_live_through_it(fleet, key):
    with load_on(fleet, key, *ALL) as loads:
        for _ in range(2):
            fleet.valkey.kill()
            fleet.valkey.start()
            written(loads)
    assert all(node.running for node in fleet.nodes.values())
    check_everywhere(fleet, loads)


def test_while_one_nodes_redis_is_away_the_others_go_on(tmp_path, key):
    """With a Redis for each node. What was asked of the node without one is answered when it is back, exactly once."""
    with Fleet(tmp_path, nodes=3, appendfsync="always", valkey_each=True) as fleet, ThreadPoolExecutor() as pool:
        fleet["n2"].increment(key)
        fleet.agree()
        fleet.valkeys["n2"].kill()
        waiting = pool.submit(fleet["n2"].increment, key, 10)
        for name in ("n1", "n3"):
            fleet[name].increment(key, 100)
        fleet.agree("n1", "n3")
        assert fleet["n1"].counter(key) == 201
        assert not waiting.done()
        fleet.valkeys["n2"].start()
        assert waiting.result(timeout=30) in {11, 111, 211}
        fleet.agree()
        assert fleet.everywhere("counter", key) == [211] * 3


def test_a_worker_that_starts_before_its_redis_waits_for_it(fleet, key):
    fleet["n5"].increment(key)
    fleet["n5"].kill()
    fleet.valkey.kill()
    before = fleet["n5"].times_logged("redis_awaited")
    fleet["n5"].start()
    wait_until(lambda: fleet["n5"].times_logged("redis_awaited") > before, what="n5 to wait for its Redis")
    assert not fleet["n5"].is_serving()
    fleet.valkey.start()
    fleet["n5"].wait_until_serving()
    assert fleet["n5"].counter(key) == 1


def test_what_was_in_the_inbox_of_a_killed_worker_is_taken_in_by_the_next(fleet):
    """Also what the killed one had been handed out already, but had not acknowledged."""
    n1, redis = fleet["n1"], fleet.redis()
    n1.kill()
    rounds = [Round(name, ("n2",), n1.keys.answer(name)) for name in ("handed out", "waiting")]
    fleet.tell("n1", rounds[0])
    assert redis.xreadgroup(GROUP, "replica", {n1.keys.inbox: ">"}, count=1)
    fleet.tell("n1", rounds[1])
    n1.start()
    for message in rounds:
        assert redis.blpop([message.answer_to], timeout=20), f"no answer to what was {message.round}"
    wait_until(lambda: redis.xlen(n1.keys.inbox) == 0, what="the inbox to be empty")


def test_a_commit_that_redis_refuses_is_tried_until_it_takes_it(fleet, key):
    """Redis is full: nothing is acknowledged, and nothing has happened, until it is not."""
    redis, before = fleet.redis(), fleet["n1"].times_logged("commit_interrupted")
    with ThreadPoolExecutor() as pool:
        try:
            redis.config_set("maxmemory", 1)
            waiting = [pool.submit(fleet["n1"].increment, key) for _ in range(3)]
            wait_until(lambda: fleet["n1"].times_logged("commit_interrupted") > before, what="n1 to be refused")
            assert not any(call.done() for call in waiting)
        finally:
            redis.config_set("maxmemory", 0)
        assert max(call.result() for call in waiting) == 3
    fleet.agree()
    assert fleet.everywhere("counter", key) == [3] * 5


# Stopped ----------------------------------------------------------------------------------------------------------


def test_a_worker_that_is_told_to_stop_ends_its_work_and_gives_the_replica_up(fleet, key):
    with load_on(fleet, key, "n1") as loads:
        assert fleet["n1"].stop() == 0
        assert fleet.redis().hget(fleet["n1"].keys.header, "owner") is None
        assert fleet.redis().hget(FLEET, "n1") is None
        fleet["n1"].start()
        written(loads)
    check_everywhere(fleet, loads)


def test_a_worker_that_is_told_to_stop_while_its_redis_is_away_does_not_wait_for_it(fleet, key):
    """What was asked of it is not acknowledged: nobody can know whether it happened."""
    fleet["n5"].increment(key)
    fleet.agree()
    with ThreadPoolExecutor() as pool:
        fleet.valkey.kill()
        before = fleet["n5"].times_logged("commit_interrupted")
        asked = pool.submit(fleet["n5"].increment, key)
        wait_until(lambda: fleet["n5"].times_logged("commit_interrupted") > before, what="n5 to miss its Redis")
        assert fleet["n5"].stop() == StoreUnavailable.exit_code
        assert isinstance(asked.exception(), grpc.RpcError)
    starting = fleet["n5"].start()
    before = starting.times_logged("redis_awaited")
    wait_until(lambda: starting.times_logged("redis_awaited") > before, what="n5 to wait for its Redis")
    assert starting.stop() == 0
    fleet.valkey.start()
    starting.start().wait_until_serving()
    assert starting.counter(key) in {1, 2}


# Replaced ---------------------------------------------------------------------------------------------------------


def test_a_second_worker_is_refused_while_the_first_lives(fleet, key):
    with load_on(fleet, key, "n1") as loads:
        second = fleet.elsewhere("n1").start()
        assert second.exit_code() == AlreadyRunning.exit_code
        assert "already run by another live process" in second.last_words()
        written(loads)
    assert not loads["n1"].failed
    check_everywhere(fleet, loads)


def test_a_worker_that_is_taken_over_under_load_ends_and_its_successor_serves_in_its_place(fleet, key):
    """At the same address: the successor waits for the port that the former one is about to give up."""
    former, successor = fleet["n1"], fleet.twin("n1")
    with load_on(fleet, key, "n1") as loads:
        successor.start("--takeover")
        assert former.exit_code() == Fenced.exit_code
        successor.wait_until_serving()
        written(loads)
    check_everywhere(fleet, loads)
    assert successor.stop() == 0


def test_a_worker_that_is_taken_over_while_nothing_happens_ends_too(fleet, key):
    """It has no commit that would tell it, and must not go on showing what it last knew, nor keep the port."""
    former, successor = fleet["n1"], fleet.twin("n1")
    former.increment(key)
    fleet.agree()
    successor.start("--takeover")
    assert former.exit_code() == Fenced.exit_code
    successor.wait_until_serving()
    assert successor.counter(key) == 1
    assert successor.stop() == 0


def test_a_frozen_worker_that_was_replaced_writes_nothing_when_it_wakes_up(fleet, key):
    """With calls under way in it, and more that reach it while it sleeps."""
    frozen, successor = fleet["n1"], fleet.elsewhere("n1")
    with load_on(fleet, key, "n1") as loads, ThreadPoolExecutor() as pool:
        frozen.suspend()
        in_vain = [pool.submit(frozen.increment, f"{key} in vain", timeout=60) for _ in range(5)]
        assert successor.start().exit_code() == AlreadyRunning.exit_code  # it holds its connection, so it may live
        successor.start("--takeover").wait_until_serving()
        assert successor.increment(f"{key} successor") == 1
        fleet.agree("n2", "n3", "n4", "n5")
        before = (
            fleet.redis().hgetall(frozen.keys.header),
            fleet.own_log("n1"),
            fleet.redis().hgetall(frozen.keys.state),
        )
        frozen.resume()
        assert frozen.exit_code() == Fenced.exit_code
        after = fleet.redis().hgetall(frozen.keys.header), fleet.own_log("n1"), fleet.redis().hgetall(frozen.keys.state)
        assert after == before
        for call in in_vain:
            assert isinstance(call.exception(), grpc.RpcError)
        assert successor.counter(f"{key} in vain") == 0
        assert successor.increment(f"{key} successor") == 2
    loads["n1"].check(successor)
    assert successor.stop() == 0
    fleet["n1"].start().wait_until_serving()
    check_everywhere(fleet, loads)


def test_a_fleet_of_one_serves_until_it_is_told_to_stop(tmp_path):
    """Nobody to deliver to once looked like nothing left to do: the worker ended just after it had started."""
    with Fleet(tmp_path, nodes=1) as fleet:
        assert fleet["n1"].increment("alone") == 1
        assert fleet["n1"].sync().peers_contacted == []
        assert fleet["n1"].increment("alone") == 2
        assert fleet["n1"].running
        assert fleet["n1"].stop() == 0

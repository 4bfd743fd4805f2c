"""Nothing acknowledged is lost and nothing is counted twice, whatever is killed in the middle of its work."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import AlreadyRunning, Fenced
from tests.fleet import Fleet
from tests.load import Load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.serial

SURVIVORS = ("n3", "n4", "n5")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path) as fleet:
        yield fleet


def loads(fleet: Fleet, stack: ExitStack) -> dict[str, Load]:
    """A load on every node, each with keys of its own."""
    return {name: stack.enter_context(Load(fleet.addresses[name], writers=1, prefix=name)) for name in fleet.names}


def check_everywhere(fleet: Fleet, under_load: dict[str, Load]) -> None:
    """Every acknowledged write is at a node other than the one that took it, once; and all nodes agree."""
    fleet.wait_until_agreed()
    for name, load in under_load.items():
        other = fleet.names[(fleet.names.index(name) + 1) % len(fleet.names)]
        assert load.acknowledged
        load.check(fleet[other])
        load.check(fleet[name])


def test_two_of_five_workers_are_killed_under_load(fleet: Fleet) -> None:
    with ExitStack() as stack:
        under_load = loads(fleet, stack)
        for load in under_load.values():
            load.wait_for_acknowledgements(50)
        fleet.kill("n1", "n2")
        for name in SURVIVORS:
            under_load[name].wait_for_acknowledgements(50)
        fleet.start("n1", "n2")
        for load in under_load.values():
            load.wait_for_acknowledgements(50)
    check_everywhere(fleet, under_load)


def test_all_five_workers_are_killed_at_once_under_load(fleet: Fleet) -> None:
    with ExitStack() as stack:
        under_load = loads(fleet, stack)
        for load in under_load.values():
            load.wait_for_acknowledgements(50)
        fleet.kill(*fleet.names)
        fleet.start(*fleet.names)
        for load in under_load.values():
            load.wait_for_acknowledgements(50)
    check_everywhere(fleet, under_load)


def test_redis_itself_is_killed_under_load(tmp_path: Path) -> None:
    with Fleet(tmp_path, appendfsync="always") as fleet:
        with ExitStack() as stack:
            under_load = loads(fleet, stack)
            for _ in range(2):
                for load in under_load.values():
                    load.wait_for_acknowledgements(30)
                fleet.valkey.kill()
                fleet.valkey.start()
            for load in under_load.values():
                load.wait_for_acknowledgements(30)
        check_everywhere(fleet, under_load)
        assert all(process.poll() is None for process in fleet.processes.values())


def test_a_worker_that_is_told_to_stop_drains_and_gives_the_replica_up(fleet: Fleet) -> None:
    with Load(fleet.addresses["n1"]) as load:
        load.wait_for_acknowledgements(50)
        assert fleet.stop("n1") == 0
    assert "owner" not in fleet.header("n1")
    load.check(fleet["n2"])
    fleet.start("n1")
    fleet.wait_until_agreed()
    load.check(fleet["n1"])


def test_a_second_worker_for_a_node_is_refused(fleet: Fleet) -> None:
    second = fleet.spawn("n1")
    assert second.wait(30) == AlreadyRunning.exit_code
    assert "already run by" in fleet.log("n1")
    assert fleet["n1"].increment("still serving") == 1


def test_a_worker_stopped_in_its_work_and_replaced_cannot_write_when_it_wakes_up(fleet: Fleet) -> None:
    with Load(fleet.addresses["n1"], writers=2) as load:
        load.wait_for_acknowledgements(50)
        former = fleet.processes["n1"]
        fleet.suspend("n1")
    successor = fleet.replace("n1")
    assert successor.increment("by the successor") == 1
    history = fleet.redis.xrange("deltaic:{n1}:log")
    former.send_signal(signal.SIGCONT)
    assert former.wait(30) == Fenced.exit_code
    assert fleet.redis.xrange("deltaic:{n1}:log")[: len(history)] == history
    assert successor.increment("by the successor") == 2
    load.check(successor)
    counters = [int(entry.split(b"-")[0]) for entry, _ in fleet.redis.xrange("deltaic:{n1}:log")]
    assert counters == list(range(1, len(counters) + 1))

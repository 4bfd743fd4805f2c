"""A short soak, and that its ledger would notice; `make soak SECONDS=3600` runs a long one."""

from __future__ import annotations

import random
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet import Fleet
from tests.load import Load
from tests.soak.__main__ import soak
from tests.soak.faults import Faults
from tests.soak.ledger import Element, Ledger, Sum
from tests.soak.stored import alter_fields, delete_keys, difference, state_keys
from tests.soak.threads import deaths_noted
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.mark.serial
def test_a_fleet_under_load_and_faults_loses_nothing_and_makes_nothing_up(tmp_path: Path) -> None:
    run = soak(seconds=30, seed=20, directory=tmp_path)
    assert not run.violations
    assert run.ledger.total.total() > 500
    assert run.faults.counts.total() > 4


class Hung:
    """A fleet of two nodes with which nothing can be done in time."""

    nodes = ("n1", "n2")

    def __getitem__(self, name: str) -> Any:
        raise subprocess.TimeoutExpired(name, 1)

    def __getattr__(self, name: str) -> Any:
        raise subprocess.TimeoutExpired(name, 1)


def test_a_fault_that_fails_unforeseen_is_told_and_the_next_ones_happen() -> None:
    """A command that hung ended its thread; the node stayed busy, no fault happened any more, and the soak passed."""
    fleet: Any = Hung()
    stop = threading.Event()
    faults = Faults(fleet, random.Random(1), 0.001, stop, Ledger())
    running = threading.Thread(target=faults.run)
    running.start()
    try:
        wait_until(lambda: faults.counts.total() > 20, what="more faults than nodes")
    finally:
        stop.set()
        running.join()
    assert len(faults.failures) == faults.counts.total()
    assert not faults.held


def test_a_thread_of_the_soak_that_dies_is_a_violation() -> None:
    found: list[str] = []
    before = threading.excepthook
    with deaths_noted(found):
        thread = threading.Thread(target=[].pop, name="the sampler")
        thread.start()
        thread.join()
    assert found == ["the sampler died of IndexError: pop from empty list"]
    assert threading.excepthook is before


@pytest.mark.parametrize("fault", ["redis_and_worker_set_back", "restored_from_backup"])
def test_a_fault_with_loss_is_counted_only_if_there_was_something_to_lose(tmp_path: Path, fault: str) -> None:
    """It was counted also where the node had committed nothing since it was copied."""
    stop = threading.Event()
    stop.set()
    with Fleet(tmp_path, 2, appendfsync="always", valkey_each=True) as fleet:
        one = fleet["n1"]
        one.increment("hits")
        faults = Faults(fleet, random.Random(1), 1, stop, Ledger(), writes_s=1)
        with pytest.raises(AssertionError, match="n1 to commit what it can lose"):
            getattr(faults, fault)("n1")
        assert faults.notes["with loss"] == 0
        with Load(one.address) as load:
            load.wait_for_acknowledgements(10)
            getattr(faults, fault)("n1")
        assert faults.notes["with loss"] == 1
        one.start().wait_until_serving()
        fleet.agree()
        load.check(one)


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two nodes that have not heard of each other's writes, of which the first does not run any more."""
    with Fleet(tmp_path_factory.mktemp("away"), 2, appendfsync="always", valkey_each=True) as fleet:
        fleet.cut(["n1"], ["n2"])
        fleet["n1"].add("fruit", *"abcdef")
        fleet["n1"].remove("fruit", "a")
        fleet["n1"].increment("hits")
        fleet["n1"].kill()
        yield fleet


@pytest.mark.parametrize("damage", [delete_keys, alter_fields])
@pytest.mark.parametrize("seed", range(5))
def test_what_a_soak_damages_is_not_taken_for_whole(away: Fleet, damage: Callable[..., int], seed: int) -> None:
    redis = away.redis("n1")
    kept = {key: redis.dump(key) for key in state_keys(redis, "n1")}
    assert difference(redis, "n1") == ""
    assert damage(redis, sorted(kept), random.Random(seed))
    assert difference(redis, "n1")
    for key, content in kept.items():
        redis.restore(key, 0, content, replace=True)


def test_what_only_one_node_has_is_not_destroyed(away: Fleet) -> None:
    """Unless its log has it: then the node writes it again."""
    stop = threading.Event()
    stop.set()
    faults = Faults(away, random.Random(1), 1, stop, Ledger(), told_s=0.5)
    faults.emptied_while_away("n1")
    assert faults.notes == {"spared": 1}
    assert difference(away.redis("n1"), "n1") == ""
    fault = threading.Thread(target=faults.damaged_while_away, args=("n1",))
    fault.start()
    wait_until(lambda: difference(away.redis("n1"), "n1"), what="n1 to be damaged")
    away.heal()
    away["n1"].start().wait_until_serving()
    fault.join()
    assert faults.notes == {"spared": 1, "with loss": 1}
    away.agree()
    assert away.everywhere("elements", "fruit") == [list("bcdef")] * 2


@dataclass
class Reading:
    """What a node reads in the end."""

    counters: dict[str, int] = field(default_factory=dict)
    sets: dict[str, list[str]] = field(default_factory=dict)
    registers: dict[str, list[str]] = field(default_factory=dict)

    def counter(self, key: str) -> int:
        return self.counters[key]

    def elements(self, key: str) -> list[str]:
        return self.sets[key]

    def register(self, key: str) -> list[str]:
        return self.registers[key]


@pytest.mark.parametrize(("value", "fine"), [(5, False), (6, True), (10, True), (14, True), (15, False)])
def test_a_counter_is_within_what_was_acknowledged_and_in_doubt(value: int, fine: bool) -> None:
    node: Any = Reading(counters={"hits": value})
    assert (not Ledger(sums={"hits": Sum(10, doubtful_more=4, doubtful_less=4)}).violations(node)) is fine


@pytest.mark.parametrize(
    ("element", "there", "gone"),
    [
        (Element(added=1), True, False),
        (Element(doubtful=1), True, True),
        (Element(added=1, removal_tried=True), True, True),
        (Element(added=1, removal_tried=True, removed=True), False, True),
        (Element(added=1, doubtful=1, removal_tried=True, removed=True), True, True),
        (Element(), False, True),
    ],
)
def test_an_element_is_there_as_far_as_the_calls_tell(element: Element, there: bool, gone: bool) -> None:
    ledger = Ledger(elements={("set", "e"): element})
    with_it: Any = Reading(sets={"set": ["e"]})
    without: Any = Reading(sets={"set": []})
    assert (not ledger.violations(with_it)) is there
    assert (not ledger.violations(without)) is gone


def test_what_nobody_wrote_is_noticed() -> None:
    node: Any = Reading(sets={"set": ["e", "made up"]}, registers={"register": ["made up"]})
    ledger = Ledger(elements={("set", "e"): Element(added=1)}, values={"register": {"v"}})
    assert len(ledger.violations(node)) == 2

"""A short soak, and that its ledger would notice; `make soak SECONDS=3600` runs a long one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.soak.__main__ import soak
from tests.soak.ledger import Element, Ledger, Sum

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.serial
def test_a_fleet_under_load_and_faults_loses_nothing_and_makes_nothing_up(tmp_path: Path) -> None:
    run = soak(seconds=30, seed=20, directory=tmp_path)
    assert not run.violations
    assert run.ledger.total.total() > 500
    assert run.faults.counts.total() > 4


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

"""Two machines that were added under one name, each on one side of a partition: real workers, a Valkey for each."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.command import Command
from tests.fleet import Fleet, Node
from tests.newcomers import Machine
from tests.support import wait_until
from workers.wire.keys import OPEN, PAUSED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FOUNDERS = ("n1", "n2", "n3")
NAMES = (*FOUNDERS, "n4")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Three nodes, of which the first hears nothing of the others."""
    with Fleet(tmp_path, nodes=3, valkey_each=True) as fleet:
        fleet.cut(["n1"], ["n2", "n3"])
        yield fleet


def holdings(nodes: Sequence[Node]) -> list[tuple[int, list[str]]]:
    for node in nodes:
        node.sync()
    return [(node.counter("hits"), node.elements("who")) for node in nodes]


def test_what_two_machines_under_one_name_have_acknowledged_is_nowhere_lost(fleet: Fleet) -> None:
    """Both were n4 and used the same dots: after healing, equal clocks, and each half of the fleet had lost a half.

    Nobody hears what each of them writes last, so the one that does not keep the name has to write it again.
    """
    with ExitStack() as cleanup:
        one = Machine(fleet, "n4", "one", ["n1"], cleanup)
        other = Machine(fleet, "n4", "other", ["n2", "n3"], cleanup)
        assert one.add()
        assert other.add()
        nodes = [machine.node.wait_until_serving() for machine in (one, other)]
        for machine, amount in zip(nodes, (10, 100), strict=True):
            machine.increment("hits", amount)
            machine.add("who", str(amount))
        for name in FOUNDERS:
            fleet.set_link(name, "n4", PAUSED)
        for machine in nodes:
            machine.increment("hits", 1000)
        everybody = [*(fleet[name] for name in FOUNDERS), *nodes]
        for name in FOUNDERS:
            fleet.set_link(name, "n4", OPEN)
        fleet.heal()
        wait_until(
            lambda: all(node.is_serving() for node in nodes) and holdings(everybody) == [(2110, ["10", "100"])] * 5,
            60,
            f"both machines to go on with the writes of both; {one.node.last_words()} {other.node.last_words()}",
        )
        assert len({node.replica_id() for node in nodes}) == 2
        (renamed,) = [
            id_ for id_ in Command(fleet.directory / "fleet.toml").json("node", "list") if id_["node"] not in NAMES
        ]
        assert (renamed["standing"], renamed["running"]) == ("active", True)

"""Two machines that were added under one name, each on one side of a partition: real workers, a Valkey for each."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import NotAMember
from tests.command import Command
from tests.fleet import Fleet, Node
from tests.newcomers import Machine
from tests.support import wait_until
from workers.jobs import maintenance as jobs
from workers.rpc import deltaic_pb2 as pb
from workers.wire.keys import OPEN, PAUSED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FOUNDERS = ("n1", "n2", "n3")
NAMES = (*FOUNDERS, "n4")


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Three nodes, of which the first hears nothing of the others."""
    monkeypatch.setenv("DELTAIC_FILE", str(tmp_path / "fleet.toml"))
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


def test_a_machine_whose_adder_is_gone_goes_on_with_its_writes_once_its_own_name_is_added(fleet: Fleet) -> None:
    """The operator does what the message says. The worker found nothing under the new name, and went on without them.

    Nobody but the removed n1 has ever heard that this machine was added.
    """
    with ExitStack() as cleanup:
        machine = Machine(fleet, "n4", "one", ["n1"], cleanup)
        other = Machine(fleet, "n4", "other", ["n2", "n3"], cleanup)
        assert machine.add()
        machine.node.wait_until_serving().increment("hits", 1000)
        fleet["n1"].stop()
        assert other.add()
        other.node.wait_until_serving().increment("hits", 1)
        Command(fleet.directory / "fleet.toml")("node", "remove", "n1", "--via", "n2", "--force")

        def is_sealed() -> bool:
            jobs.compact("n2")
            members = fleet["n2"].control.Members(pb.MembersRequest(), timeout=10).members
            return any(member.replica == "n1" and member.standing >= pb.SEALED for member in members)

        wait_until(is_sealed, 30, "n1 to be sealed")
        name = machine.node.replica_id()
        machine.node.stop()
        machine.knows(["n2", "n3"])
        assert machine.node.start().exit_code() == NotAMember.exit_code
        assert f"call its section [nodes.{name}] in the fleet file; `deltaic node add {name}`" in (
            machine.node.last_words(1)
        )
        machine.call(name)
        machine.deltaic("node", "add", name, "--no-wait")
        machine.node.start().wait_until_serving()
        wait_until(lambda: machine.node.counter("hits") == 1001, 30, "its writes to be made anew")
        fleet["n2"].sync()
        assert fleet["n2"].counter("hits") == 1001

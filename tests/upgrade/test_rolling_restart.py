"""A fleet of 0.1.0 is restarted node by node to the present code, under load: nothing is lost, nothing counts twice.

Every call is accounted for. On the way nodes of both versions part and catch up, n1 goes back to 0.1.0 for a while, and
the periodic jobs run with every mixture of versions.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from tests.fleet import Fleet
from tests.soak.ledger import Clients, Fate, Ledger
from tests.upgrade.versions import PRESENT, PeriodicJobs, catch_up, restart, run_version
from tests.workers.resp.load import RespLoad

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upgrade.installation import Installation

pytestmark = pytest.mark.serial

GOSSIP = {"chunk_bytes": 1024, "log_entries_max": 120, "log_entries_kept": 10, "timeout_ms": 5000}
"""So that who is cut off for a moment needs a patch, in many chunks."""
PAUSE_S = 0.005
SETTLED_S = 60


class Upgrade:
    """A fleet under load, whose every call is in a ledger."""

    def __init__(self, fleet: Fleet, loads: list[RespLoad], ledger: Ledger) -> None:
        self.fleet = fleet
        self.loads = loads
        self.ledger = ledger

    def go_on(self) -> None:
        """Returns once every node has acknowledged more writes, and has got all that were acknowledged before."""
        for load in self.loads:
            load.wait_for_acknowledgements(30)
        catch_up(self.fleet)

    def restart(self, name: str, deltaic: Path) -> None:
        restart(self.fleet[name], deltaic)
        self.go_on()

    def part_and_heal(self, name: str) -> None:
        """The node and the others miss so many writes of each other that their logs do not have them any more."""
        others = self.fleet.nodes.keys() - {name}
        before = {node.name: node.metrics() for node in self.fleet.nodes.values()}
        self.fleet.cut([name], others)
        for load in self.loads:
            load.wait_for_acknowledgements(GOSSIP["log_entries_max"])
        self.fleet.heal()
        self.go_on()
        for node in (self.fleet[name], *map(self.fleet.nodes.__getitem__, others)):
            grown = node.metrics() - before[node.name]
            assert grown["patches_joined"], f"{node.name} has joined no patch: {grown}"
        assert sum((node.metrics() - before[node.name])["chunks_received"] for node in self.fleet.nodes.values())

    def check(self) -> None:
        """After the load: all agree, and every node accounts for every call."""
        self.fleet.sync_all()
        self.fleet.agree(timeout=SETTLED_S)
        assert self.ledger.total[Fate.ACKNOWLEDGED] > 200
        for node in self.fleet.nodes.values():
            assert not self.ledger.violations(node), f"{node.name}: {self.ledger.violations(node)[:20]}"
            with Redis(port=node.resp_port) as client:
                for load in self.loads:
                    load.check(client)
            assert self.fleet.quarantined(node.name) == []


def test_a_fleet_is_upgraded_node_by_node_under_load(tmp_path: Path, old: Installation) -> None:
    fleet = Fleet(tmp_path, nodes=3, valkey_each=True, gossip=GOSSIP)
    run_version(fleet.nodes.values(), old.deltaic)
    ledger = Ledger()
    with ExitStack() as stack:
        stack.enter_context(fleet)
        jobs = stack.enter_context(PeriodicJobs(fleet, old.directory))
        jobs.run(workers=old.deltaic, scheduler=old.deltaic)
        with ExitStack() as load:
            addresses = {name: node.address for name, node in fleet.nodes.items()}
            load.enter_context(Clients(addresses, ledger, seed=1, threads=1))
            loads = [RespLoad(node.resp_port, f"at {node.name}", 1, pause_s=PAUSE_S) for node in fleet.nodes.values()]
            for writer in loads:
                load.enter_context(writer)
            upgrade = Upgrade(fleet, loads, ledger)
            upgrade.go_on()
            jobs.wait_until_done()

            upgrade.restart("n1", PRESENT)
            upgrade.part_and_heal("n1")
            jobs.run(workers=PRESENT, scheduler=old.deltaic)
            jobs.wait_until_done()

            fleet["n2"].kill()  # the next process finds what one that was killed has left
            run_version([fleet["n2"]], PRESENT)
            fleet["n2"].start().wait_until_serving(60)
            upgrade.go_on()

            upgrade.restart("n1", old.deltaic)
            upgrade.part_and_heal("n2")
            jobs.run(workers=old.deltaic, scheduler=PRESENT)
            jobs.wait_until_done()

            upgrade.restart("n1", PRESENT)
            upgrade.restart("n3", PRESENT)
            jobs.run(workers=PRESENT, scheduler=PRESENT)
            jobs.wait_until_done()
        jobs.check()
        upgrade.check()

"""One name, two machines: what both acknowledge is nowhere lost, and one that cannot take part acknowledges nothing.

Either machine writes an element and counts once. The ledger has what was acknowledged.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from crdt_core.errors import NotAMember
from tests.command import Command
from tests.newcomers import Machine
from tests.server import ValkeyServer
from tests.soak.ledger import Element, Sum
from tests.support import wait_until

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.fleet import Fleet
    from tests.soak.ledger import Ledger

__all__ = ["add_two_machines", "run_a_second_worker"]

KEY, COUNTER = "added-twice", "counted-by-two"
PATIENCE_S = 60.0


def add_two_machines(fleet: Fleet, name: str, chance: random.Random, ledger: Ledger) -> int:
    """Adds two machines as `name`, one on either side of a partition; how many of them have served.

    A machine that hears of the other in time is refused or ends instead, and says how to add it. After the partition
    both take part, and all nodes have what they wrote. In the end both are removed again.
    """
    founders = chance.sample(list(fleet.nodes), len(fleet.nodes))
    half = chance.randint(1, len(founders) - 1)
    sides = founders[:half], founders[half:]
    with ExitStack() as cleanup:
        cleanup.callback(_remove, fleet, "--force")  # where something failed, so that the fleet can go on
        cleanup.callback(fleet.heal)
        fleet.cut_by_redis(*sides)
        machines = [Machine(fleet, name, f"{name}-{i}", side, cleanup) for i, side in enumerate(sides)]
        added = [machine for machine in machines if machine.add()]
        serving = [machine for machine in added if _serves(machine)]
        for machine in serving:
            _write(machine, ledger)
        fleet.heal()
        for machine in serving:
            machine.knows(fleet.nodes)  # the remedy of `peer_skipped`
            machine.node.kill()
            machine.node.start()
        written = {machine.node.log.stem for machine in serving}
        wait_until(lambda: all(written <= set(node.elements(KEY)) for node in fleet.nodes.values()), PATIENCE_S, KEY)
        wait_until(lambda: all(m.node.is_serving() for m in serving), PATIENCE_S, f"{len(serving)} machines to serve")
        _remove(fleet)
        return len(serving)


def run_a_second_worker(fleet: Fleet, name: str, wait: Callable[[], None]) -> None:
    """Runs another worker for the node, which has an empty Redis of its own: it must not serve."""
    with ExitStack() as cleanup:
        valkey = ValkeyServer(fleet.directory / f"valkey-{name}-elsewhere")
        cleanup.callback(valkey.stop)
        other = fleet.elsewhere(name, redis=valkey.start().url)
        cleanup.callback(other.discard)
        other.start()
        wait()
        assert not other.is_serving(), f"a second worker of {name} serves: {other.last_words()}"
        assert other.running or other.exit_code() == NotAMember.exit_code, other.last_words()


def _serves(machine: Machine) -> bool:
    """Whether the machine comes to serve, or ends because another has its name."""
    node = machine.node
    wait_until(lambda: node.is_serving() or not node.running, PATIENCE_S, f"{node.log.stem} to serve or to end")
    if node.running:
        return True
    assert node.exit_code() == NotAMember.exit_code, node.last_words()
    return False


def _write(machine: Machine, ledger: Ledger) -> None:
    """One element and one increment; both must be acknowledged, as nothing else is wrong with the machine."""
    name = machine.node.log.stem
    machine.node.add(KEY, name)
    machine.node.increment(COUNTER)
    with ledger.lock:
        ledger.elements[KEY, name] = Element(added=1)
        ledger.sums.setdefault(COUNTER, Sum()).certain += 1


def _remove(fleet: Fleet, *options: str) -> None:
    """All members that the fleet did not have are removed."""
    deltaic = Command(fleet.directory / "fleet.toml")
    active = {id_["node"] for id_ in deltaic.json("node", "list") if id_["standing"] == "active"}
    for name in sorted(active - set(fleet.nodes)):
        deltaic("node", "remove", name, *options)

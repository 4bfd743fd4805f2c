"""A node of the simulated fleet: its machine, its store, and the process that runs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.lattice.clocks import VersionVector
from crdt_core.membership.replay import GAVE_WAY
from crdt_core.types.members import Members
from tests.sim.starting import start
from tests.sim.store import Store
from tests.sim.violation import require

if TYPE_CHECKING:
    from tests.sim.flight import Flight
    from tests.sim.shell import Process
    from tests.sim.world import World

__all__ = ["Host"]

_RETRY_MS = 20
_RESTART_MS = (0, 30, 300, 1500)
_SET_ASIDE = "only what was damaged, comes from strangers, or gives way to another value is set aside"
_UNKNOWN = "is no peer of {}"
"""The reason why a message is set aside whose sender has just been added, and is not known here yet."""


class Host:
    """One node of `world`, on a machine called `name`. `node` is the name of the node, as long as it keeps that.

    `skew_ms`: how far its wall clock is off. `kill_at`: the kill point at which its process dies next.
    `mishap`: what goes wrong with the next commit: its `request` or its `answer` is lost, or the request comes `late`.
    `succeeded`: processes that another has replaced, and that may not know it yet.
    `starting`: what the store says of a worker that starts.
    `lost`: the store has lost something that a process had confirmed.
    `spoilt`: somebody has deleted or altered what the store holds, and no process has noticed it yet.
    `set_right`: the hybrid clock was set right since the last commit. `out`: the node was told that it is no member.
    `found_members`: whom the latest start has found in the stores of all nodes.
    `waits_for`: what an operator could vouch for, so that the start need not wait.
    """

    def __init__(self, world: World, name: str, node: str = "") -> None:
        self.world = world
        self.name = name
        self.node = node or name
        self.store = Store()
        self.process: Process | None = None
        self.succeeded: list[Process] = []
        self.starts = 0
        self.starting = ""
        self.skew_ms = 0
        self.kill_at = ""
        self.mishap = ""
        self.confirmed_clock = VersionVector()
        self.lost = False
        self.spoilt = False
        self.set_right = False
        self.out = False
        self.found_members = Members({}, {})
        self.waits_for = ""

    @property
    def lives(self) -> bool:
        """Whether a process runs here that owns the store."""
        return self.process is not None and self.process.owner == self.store.watch().owner

    def receive(self, message: bytes) -> None:
        """A message has reached the inbox."""
        self.store.post(message)
        if self.process is not None:
            self.process.look_into_inbox()

    def executed(self, flight: Flight) -> None:
        """A commit has taken effect in the store: from now on everybody can read it."""
        commit = flight.commit
        written = sum(len(list(changes)) for changes in (*commit.earlier, commit.records))
        self.world.note(
            self.name, "executes turn", flight.turn, bytes(commit.delta) if commit.delta else "", written, "records"
        )
        for item in commit.quarantined:
            expected = item.content in self.world.damaged or item.reason.endswith(_UNKNOWN.format(self.node))
            require(expected or item.reason == GAVE_WAY, _SET_ASIDE, f"{self.name}: {item}")
        if commit.delta is not None:
            self.world.history.spent(
                bytes(commit.delta), flight.seen, flight.deeds(), set_right=self.set_right, replays=flight.replays
            )
            self.set_right = False
            self.world.counts["commits"] += 1
            for host in self.world.hosts.values():
                if host.process is not None:
                    host.process.log_grew(self.node)

    def found_whole(self) -> None:
        """A process has found all as it should be, or has mended it. A lost tail does not bring the damage back."""
        if self.spoilt:
            self.spoilt = False
            self.store.sync()

    def lose(self) -> bool:
        """The store loses its last commits; returns whether there were any."""
        lost = self.store.lose_last(self.world.rng.randint(1, 4)) > 0
        if lost:
            self.lost = True
        return lost

    def kill(self, why: str) -> None:
        """Ends the process, with all that it had in memory; another starts later."""
        if self.process is not None:
            self.world.note(self.name, "dies", why)
            self.process.end()
            self.process = None
            self.world.later(self.world.rng.choice(_RESTART_MS), self.revive)

    def revive(self) -> None:
        """Starts a process where there is none, as soon as the store can be reached."""
        if self.process is None and self.store.down:
            self.world.later(_RETRY_MS, self.revive)
        elif self.process is None and not self.out:
            start(self)

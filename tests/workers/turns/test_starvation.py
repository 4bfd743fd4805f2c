"""A large call gets its turn, however much that is large comes in from peers and from other callers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.commands import COMMANDS, Execute
from crdt_core.lattice.clocks import Stamp
from crdt_core.node.events import Call, DeltasRead, PatchOffered, Reply
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from workers.turns.loop import CallbackWaiter, TurnLoop

if TYPE_CHECKING:
    from workers.wire.retry import Trouble

NOW_MS = 1_000_000
MANY = [b"m%d" % number for number in range(60)]
SLICED = NodeOptions(parts_per_slice=10, parts_per_turn=20, delta_bytes_per_turn=500)
FOUNDERS = ("n1", "n2", "n3")
TURNS_MAX = 20


def execute(name: bytes, *args: bytes) -> Execute:
    return Execute([(COMMANDS[name], list(args))], NOW_MS, 1)


class Healthy:
    """A store that takes every commit."""

    @property
    def trouble(self) -> Trouble | None:
        return None


class Shell:
    """A shell that prepares each turn in slices, and has every commit confirmed at once."""

    def __init__(self) -> None:
        node = Node("n1", Replica("n1", founders=FOUNDERS), "s", options=SLICED)
        self.loop = TurnLoop(node, Healthy(), lambda: None, call_timeout_s=10, calls_waiting_max=10)

    def turn(self) -> None:
        while self.loop.node.large.prepare():
            pass
        if self.loop.begin(NOW_MS, 0) is not None:
            self.loop.confirm()
        for effect in self.loop.release():
            if isinstance(effect, Reply):
                effect.token.on_reply(effect.result, effect.error)


class Peer:
    """A node whose log never ends: as soon as an entry is taken in, the next large one is there."""

    def __init__(self, name: str, loop: TurnLoop) -> None:
        self._node = Node(name, Replica(name, founders=FOUNDERS), "s")
        self._loop = loop
        self.taken = 0
        self._bring()

    def _bring(self) -> None:
        written = self._node.turn([Call(execute(b"SADD", b"set", *MANY), None)], NOW_MS, 0).commit
        self._node.confirm()
        assert written.delta is not None
        entries = [(f"{written.counter}-0", written.delta)]
        self._loop.ask(lambda token: DeltasRead(self._node.name, entries, token), self._note)

    def _note(self, passed: Any, error: Exception | None) -> None:
        assert (passed, error) == (1, None)
        self.taken += 1
        self._bring()


class Offerer:
    """A caller that offers one large patch after the other."""

    def __init__(self, _name: str, loop: TurnLoop) -> None:
        self._loop = loop
        self.taken = 0
        self._bring()

    def _bring(self) -> None:
        maker = Replica(f"stranger-{self.taken}")
        for member in MANY:
            maker.write(b"offered", ORSET, member, True)
        maker.commit(Stamp(1, 0))
        patch = maker.patch(None, Stamp(1, 0))
        self._loop.ask(lambda token: PatchOffered(patch, token), self._note)

    def _note(self, new: Any, error: Exception | None) -> None:
        assert (new, error) == (len(MANY), None)
        self.taken += 1
        self._bring()


@pytest.mark.parametrize("others", [(Peer, Peer), (Peer, Offerer)])
def test_endless_large_deltas_and_patches_do_not_keep_a_large_call_waiting(others: tuple[type, type]) -> None:
    """Two peers with large deltas took turns: one was put aside while the other was taken in. No call ran any more."""
    shell = Shell()
    told: list[tuple[Any, Exception | None]] = []
    shell.loop.submit(execute(b"SADD", b"large", *MANY), CallbackWaiter(lambda *said: told.append(said)), 0)
    shell.turn()
    first = others[0]("n2", shell.loop)
    shell.turn()
    second = others[1]("n3", shell.loop)
    shell.turn()
    shell.loop.submit(execute(b"DEL", b"large"), CallbackWaiter(lambda *said: told.append(said)), 0)
    for _ in range(TURNS_MAX):
        shell.turn()
    assert told == [([len(MANY)], None), ([1], None)]
    before = first.taken, second.taken
    for _ in range(TURNS_MAX):
        shell.turn()
    assert first.taken > before[0]
    assert second.taken > before[1]

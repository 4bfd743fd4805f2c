"""The former ids of a node: each is retired, and what it had not sent is replayed, piece by piece."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from crdt_core.codec.deltas import decode_delta
from crdt_core.errors import Malformed
from crdt_core.membership.changes import RetireFormer
from crdt_core.membership.replay import is_final, to_replay
from crdt_core.node.events import Call, ReplayAsked
from tests.sim.plan import PLENTY
from tests.sim.tail import Nobody, Then

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crdt_core.lattice.deltas import Address, Delta
    from crdt_core.lattice.siblings import Payload
    from crdt_core.membership.decisions import Start
    from tests.sim.shell import Process

__all__ = ["Formers"]

_REPLAY_PIECE = 2


class Formers:
    """The former ids of the node of `process`, the oldest first."""

    def __init__(self, process: Process, decided: Start) -> None:
        self._process = process
        self._left = decided.formers
        self._replayed = decided.replayed

    def advance(self) -> None:
        """Retires the next former id; replays what it had not sent, once it is final."""
        node, host = self._process.node, self._process.host
        if not self._left or not node.membership.is_admitted:
            return
        former, *later = self._left
        if former not in node.replica.members.facts:
            self._process.put(Call(RetireFormer(host.node, former), Nobody()))
        elif is_final(node.replica, former):
            replayed, self._left, self._replayed = self._replayed, later, 0
            self._replay(former, self._unsent(former), {}, later, replayed)

    def _replay(
        self,
        former: str,
        unsent: tuple[Delta, ...],
        before: dict[Address, Payload],
        later: Sequence[str],
        replayed: int,
    ) -> None:
        """Replays the next piece, and then the rest; in the end the log of the former id is not needed any more."""
        piece, rest = unsent[:_REPLAY_PIECE], unsent[_REPLAY_PIECE:]
        then = (
            partial(self._replay, former, rest, before, later, replayed)
            if rest
            else partial(self._process.host.store.logs.pop, former, None)
        )
        self._process.put(ReplayAsked(former, piece, Then(then), later, replayed, before, not rest))

    def _unsent(self, former: str) -> tuple[Delta, ...]:
        replica, store = self._process.node.replica, self._process.host.store
        found = []
        for _, content in store.read_log(former, replica.clock_with_folded[former], PLENTY):
            with suppress(Malformed):
                found.append(decode_delta(content))
        asked = to_replay(replica, former, found)
        self._process.world.counts["deltas replayed"] += len(asked)
        return asked

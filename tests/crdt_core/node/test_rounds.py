"""Rounds of a node by itself: what ends them is what came in, or time that has passed; never the time of day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.node.events import Reply, RoundAsked, Send, Tick
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica

if TYPE_CHECKING:
    from crdt_core.node.events import RoundResult, Turn

DAY_MS = 86_400_000


def results(turn: Turn) -> list[RoundResult]:
    return [effect.result for effect in turn.effects if isinstance(effect, Reply)]


def test_a_round_is_given_up_when_its_time_is_over_wherever_the_wall_clock_has_been_set() -> None:
    node = Node("n1", Replica("n1", founders=["n1", "n2"]), "s", options=NodeOptions(exchange_timeout_ms=1000))
    turn = node.turn([RoundAsked((), "caller")], wall_ms=10 * DAY_MS, monotonic_ms=0)
    assert [effect.peer for effect in turn.effects if isinstance(effect, Send)] == ["n2"]
    assert results(node.turn([Tick()], wall_ms=11 * DAY_MS, monotonic_ms=999)) == []
    (result,) = results(node.turn([Tick()], wall_ms=9 * DAY_MS, monotonic_ms=1000))
    assert result.failed == ("n2",)

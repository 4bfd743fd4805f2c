"""Measures how far nodes are behind each other: in commits from their headers, in milliseconds from their logs."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import orjson

from workers.fleet.node_status import Lag
from workers.fleet.stores import NodeStoreUnavailable
from workers.system.clock import wall_ms
from workers.wire.keys import DELTA_FIELD, Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.fleet.node_status import NodeStatus
    from workers.fleet.stores import FleetRedis
    from workers.wire.connection import RedisCommand

__all__ = ["fill_in_lag", "fill_in_log_lengths"]


async def fill_in_log_lengths(nodes: Mapping[str, NodeStatus], redis: FleetRedis) -> None:
    """Set `log`, the number of entries in the node's log, of each node that could be read.

    A node's header says which replica id it has, and so which log is its own.
    """
    readable = {name: node for name, node in nodes.items() if node.clock is not None}
    replies = await redis.ask({name: [("XLEN", Keys(name, node.replica).log)] for name, node in readable.items()})
    for name, answer in replies.items():
        if not isinstance(answer, NodeStoreUnavailable) and isinstance(answer[0], int):
            nodes[name].log = answer[0]


async def fill_in_lag(nodes: Mapping[str, NodeStatus], redis: FleetRedis) -> None:
    """Set the `lag` of every node behind every other node.

    The age is that of the first delta which the node lacks; it stands in the peer's log.
    """
    behind: list[tuple[NodeStatus, NodeStatus, int]] = []
    for node, peer in permutations(nodes.values(), 2):
        deltas = _deltas_behind(node, peer)
        node.lag[peer.name] = Lag(deltas, 0 if deltas == 0 else None)
        if deltas and node.clock is not None:
            behind.append((node, peer, node.clock[peer.replica] + 1))
    commands: dict[str, list[RedisCommand]] = {}
    for _, peer, counter in behind:
        commands.setdefault(peer.name, []).append(
            ("XRANGE", Keys(peer.name, peer.replica).log, f"{counter}-0", f"{counter}-0")
        )
    replies = await redis.ask(commands)
    at_ms = wall_ms()
    for node, peer, _ in behind:
        entries = replies[peer.name]
        if not isinstance(entries, NodeStoreUnavailable):
            node.lag[peer.name] = Lag(node.lag[peer.name].deltas, _age_ms(entries.pop(0), at_ms))


def _deltas_behind(node: NodeStatus, peer: NodeStatus) -> int | None:
    if node.clock is None or peer.clock is None:
        return None
    return max(0, peer.clock[peer.replica] - node.clock[peer.replica])


def _age_ms(entries: Any, at_ms: int) -> int | None:
    """Return the age at `at_ms` of the delta in the only one of `entries`; `None` if it was trimmed."""
    try:
        ((_, fields),) = entries
        made_ms, _ = orjson.loads(fields[DELTA_FIELD])["hlc"]
        return max(0, at_ms - int(made_ms))
    except (ValueError, TypeError, KeyError):
        return None

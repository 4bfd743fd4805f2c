"""How far nodes are behind each other, counted from their headers and dated from their logs."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import orjson

from workers.fleet.node_view import Lag
from workers.fleet.stores import NodeStoreUnavailable
from workers.system.clock import wall_ms
from workers.wire.keys import DELTA_FIELD, Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.fleet.node_view import NodeView
    from workers.fleet.stores import FleetRedis
    from workers.wire.connection import RedisCommand

__all__ = ["measure_lag", "measure_logs"]


async def measure_logs(views: Mapping[str, NodeView], redis: FleetRedis) -> None:
    """Fills in how long the logs are; which log is a node's, its header says."""
    readable = {name: view for name, view in views.items() if view.clock is not None}
    replies = await redis.ask({name: [("XLEN", Keys(name, view.replica).log)] for name, view in readable.items()})
    for name, answer in replies.items():
        if not isinstance(answer, NodeStoreUnavailable) and isinstance(answer[0], int):
            views[name].log = answer[0]


async def measure_lag(views: Mapping[str, NodeView], redis: FleetRedis) -> None:
    """Fills in every node's lag; the age comes from the peer's log, from the first delta that the node lacks."""
    behind: list[tuple[NodeView, NodeView, int]] = []
    for view, peer in permutations(views.values(), 2):
        deltas = _deltas_behind(view, peer)
        view.lag[peer.name] = Lag(deltas, 0 if deltas == 0 else None)
        if deltas and view.clock is not None:
            behind.append((view, peer, view.clock[peer.replica] + 1))
    commands: dict[str, list[RedisCommand]] = {}
    for _, peer, counter in behind:
        commands.setdefault(peer.name, []).append(
            ("XRANGE", Keys(peer.name, peer.replica).log, f"{counter}-0", f"{counter}-0")
        )
    replies = await redis.ask(commands)
    at_ms = wall_ms()
    for view, peer, _ in behind:
        entries = replies[peer.name]
        if not isinstance(entries, NodeStoreUnavailable):
            view.lag[peer.name] = Lag(view.lag[peer.name].deltas, _age_ms(entries.pop(0), at_ms))


def _deltas_behind(view: NodeView, peer: NodeView) -> int | None:
    if view.clock is None or peer.clock is None:
        return None
    return max(0, peer.clock[peer.replica] - view.clock[peer.replica])


def _age_ms(entries: Any, at_ms: int) -> int | None:
    """The age of the delta in the one entry that was asked for; `None` if it was trimmed."""
    try:
        ((_, fields),) = entries
        made_ms, _ = orjson.loads(fields[DELTA_FIELD])["hlc"]
        return max(0, at_ms - int(made_ms))
    except (ValueError, TypeError, KeyError):
        return None

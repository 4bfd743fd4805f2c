"""The periodic jobs that RQ's own workers run: gossip round, compaction, convergence audit.

A job does not change a replica itself. It reads what nodes publish (headers, links, whether their workers run), puts a
message into its node's inbox, and waits for the answer. Every job is idempotent, so a job that is late, doubled or lost
does no harm. Gossip rounds and compactions also run only one at a time for each node. Gossip rounds and audits leave
out peers across paused links; a compaction reads the headers of all members, as each of them holds tombstones back.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import orjson

from crdt_core.codec.messages import Compact, Round
from crdt_core.errors import DigestMismatch
from workers.jobs.fleet_access import FleetAccess
from workers.system.clock import wall_ms
from workers.wire.keys import AUDIT

if TYPE_CHECKING:
    from workers.jobs.fleet_access import PublishedState, Report

__all__ = ["audit", "compact", "gossip_round"]

_NAME_BYTES = 8


def gossip_round(node: str) -> Report:
    """Make `node` exchange with `gossip.fanout` random peers that run; return what that brought.

    Returns `{"skipped": reason}` where there was no round.
    """
    fleet = FleetAccess.of(node)
    with fleet.single_flight("gossip") as alone:
        if not alone:
            return {"skipped": "a round is under way"}
        if not fleet.runs(node):
            return {"skipped": f"{node} is down"}
        peers = fleet.some_that_run(fleet.open_peers(), fleet.settings.gossip.fanout)
        name = secrets.token_hex(_NAME_BYTES)
        return fleet.ask(name, Round(name, tuple(peers), fleet.keys.answer(name)))


def compact(node: str) -> Report:
    """Make `node` drop what every member has: give it the clocks that its peers have published.

    Returns the node's report, or `{"skipped": reason}` where there was no compaction.
    """
    fleet = FleetAccess.of(node)
    with fleet.single_flight("compact") as alone:
        if not alone:
            return {"skipped": "a compaction is under way"}
        if not fleet.runs(node):
            return {"skipped": f"{node} is down"}
        evidence = fleet.of_each(fleet.peers(), fleet.evidence)
        clocks = {found.replica: found.clock for found in evidence.values() if found and not found.joining}
        absent = tuple(peer for peer, found in evidence.items() if not (found and found.running))
        name = secrets.token_hex(_NAME_BYTES)
        return fleet.ask(name, Compact(clocks, absent, fleet.keys.answer(name)))


def audit(node: str) -> Report:
    """Compare what `node` and its peers have published: equal clocks must come with equal digests.

    The node's worker itself compares what is stored with its memory (`workers.storage.proofreading`). The report's
    `persisted_again` says how many records it had to write again. Returns the report, which is also written into Redis.
    Raises `DigestMismatch` for an alarm, so that RQ shows the job as failed; the report is written in this case, too.
    """
    fleet = FleetAccess.of(node)
    own = fleet.published(node)
    peers = fleet.of_each(fleet.open_peers(), fleet.published)
    groups: dict[str, list[str]] = {"agree": [], "differ_in_clock": [], "unreachable": [], "mismatch": []}
    for peer, state in peers.items():
        groups[_compare(own, state)].append(peer)
    beat = fleet.heartbeat(node)
    report = {"at_ms": wall_ms(), "persisted_again": beat.get("persisted_again", 0), **groups}
    fleet.redis(node).hset(AUDIT, node, orjson.dumps(report))
    if groups["mismatch"]:
        raise DigestMismatch(node, groups["mismatch"])
    return report


def _compare(own: PublishedState | None, peer: PublishedState | None) -> str:
    if own is None or peer is None:
        return "unreachable"
    if own.clock != peer.clock:
        return "differ_in_clock"
    return "agree" if own.digest == peer.digest else "mismatch"

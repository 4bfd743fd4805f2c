"""Who belongs to the fleet, as an operator's command finds it out: what all nodes' Redis say.

The fleet file says where to ask first. Members that it does not name are asked at the addresses that were written down
when they were added. It changes nothing.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crdt_core.errors import DeltaicError, SettingsError
from crdt_core.membership.evidence import NodeEvidence, combined_members
from workers.config.settings import checked_node
from workers.fleet.stores import FleetRedis, NodeStoreUnavailable
from workers.replication.heartbeat import said_lately
from workers.storage.evidence import evidence_of, questions
from workers.wire.keys import FLEET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.types.members import Fact, Members
    from workers.config.settings import FleetSettings, NodeSettings
    from workers.fleet.stores import Replies

__all__ = ["Census", "take_census", "with_members"]


@dataclass(frozen=True, slots=True)
class Census:
    """What all that answer know together.

    `settings` names all members, also those that the fleet file does not. `records`: what each node's Redis
    says, or why it does not. `waits`: the nodes whose workers cannot decide yet under which id they go on, and why.
    """

    settings: FleetSettings
    members: Members
    records: Mapping[str, NodeEvidence | NodeStoreUnavailable]
    waits: Mapping[str, str]

    def record(self, node: str) -> NodeEvidence | None:
        """What the Redis of `node` says; `None` where that is unknown."""
        found = self.records.get(node)
        return found if isinstance(found, NodeEvidence) else None

    def fact(self, node: str) -> tuple[str, Fact] | None:
        """The latest id of `node` and what is known of it; `None` where it never was a member."""
        ids = self.members.ids_of(node)
        latest = self.members.active.get(node, ids[-1] if ids else None)
        return None if latest is None else (latest, self.members.facts[latest])

    def alone(self, node: str) -> int | None:
        """How many commits of the member `node` no other member's Redis has seen; `None` where that cannot be known."""
        own, replica = self.record(node), self.members.active[node]
        if own is None:
            return None
        others = [self.record(other) for other in self.members.active if other != node]
        seen = max((record.clock[replica] for record in others if record is not None), default=0)
        return max(0, own.clock[replica] - seen) if own.replica == replica else 0


async def take_census(settings: FleetSettings) -> Census:
    """Asks everybody who is known, until nobody new is heard of."""
    records: dict[str, NodeEvidence | NodeStoreUnavailable] = {}
    waits: dict[str, str] = {}
    while True:
        async with FleetRedis(settings) as redis:
            new = [name for name in settings.nodes if name not in records]
            answers = await redis.ask({name: [*questions(name), ("HGET", FLEET, name), ("TIME",)] for name in new})
        for name, answer in answers.items():
            records[name] = answer if isinstance(answer, NodeStoreUnavailable) else _evidence(name, answer[:-2])
            said = None if isinstance(answer, NodeStoreUnavailable) else _said(answer)
            if said and said.get("waits"):
                waits[name] = str(said["waits"])
        known = [record for record in records.values() if isinstance(record, NodeEvidence)]
        members = combined_members(known, settings.nodes)
        wider = with_members(settings, members)
        if wider is settings:
            return Census(settings, members, records, waits)
        settings = wider


def with_members(settings: FleetSettings, members: Members) -> FleetSettings:
    """`settings` with the members that they do not name; themselves where there are none."""
    written: dict[str, NodeSettings] = {}
    for node, replica in members.active.items():
        fact = members.facts[replica]
        if node not in settings.nodes:
            with suppress(SettingsError):
                written[node] = checked_node(node, grpc=fact.grpc, redis=fact.redis)
    return settings.model_copy(update={"nodes": settings.nodes | written}) if written else settings


def _said(replies: Replies) -> dict[str, Any] | None:
    beat, time = replies[-2:]
    return None if isinstance(beat, Exception) or isinstance(time, Exception) else said_lately(beat, time)


def _evidence(name: str, replies: Replies) -> NodeEvidence | NodeStoreUnavailable:
    try:
        return evidence_of(name, replies)
    except DeltaicError as error:
        return NodeStoreUnavailable("", str(error))

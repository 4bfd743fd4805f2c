"""Finds out which nodes belong to the fleet, from the Redis of all nodes. It changes nothing.

The fleet file says whose Redis to read first. A member that the file does not name is read at the address that was
published when it was added.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crdt_core.errors import DeltaicError, SettingsError, UnknownNode
from crdt_core.membership.evidence import NodeEvidence, combined_members
from workers.config.loading import checked_node
from workers.fleet.stores import FleetRedis, NodeStoreUnavailable
from workers.replication.heartbeat import fresh_fields
from workers.storage.evidence import evidence_commands, evidence_of
from workers.wire.keys import FLEET
from workers.wire.peers import redis_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.types.members import Fact, Members
    from workers.config.settings import FleetSettings, NodeSettings
    from workers.fleet.stores import Replies

__all__ = ["FleetMembers", "read_members", "with_members"]


@dataclass(frozen=True, slots=True)
class FleetMembers:
    """What all nodes whose Redis answers know together about the members.

    `settings` names all members, including those that the fleet file does not name. `evidence_by_node`: what each
    node's Redis says, or why it says nothing. `waits`: the nodes whose workers cannot decide yet on their replica id,
    and why.
    """

    settings: FleetSettings
    members: Members
    evidence_by_node: Mapping[str, NodeEvidence | NodeStoreUnavailable]
    waits: Mapping[str, str]

    @property
    def somebody_answers(self) -> bool:
        """Whether the Redis of at least one node answers. Otherwise, only the fleet file says who the members are."""
        return any(isinstance(found, NodeEvidence) for found in self.evidence_by_node.values())

    def evidence(self, node: str) -> NodeEvidence | None:
        """Return what the Redis of `node` says; `None` where it cannot be read."""
        found = self.evidence_by_node.get(node)
        return found if isinstance(found, NodeEvidence) else None

    def latest(self, node: str) -> tuple[str, Fact] | None:
        """Return the latest replica id of `node` and its fact; `None` if the node never was a member."""
        ids = self.members.ids_of(node)
        latest = self.members.active.get(node, ids[-1] if ids else None)
        return None if latest is None else (latest, self.members.facts[latest])

    def unseen_commits(self, node: str) -> int | None:
        """Return how many commits of the member `node` no other member's Redis has; `None` where that is unknown."""
        own, replica = self.evidence(node), self.members.active[node]
        if own is None:
            return None
        others = [self.evidence(other) for other in self.members.active if other != node]
        seen = max((evidence.clock[replica] for evidence in others if evidence is not None), default=0)
        return max(0, own.clock[replica] - seen) if own.replica == replica else 0


async def read_members(settings: FleetSettings) -> FleetMembers:
    """Read the Redis of every known node, until nothing further is found, and return what they say.

    A node that the file does not name is read again where a later address is found: another machine may keep its name.
    """
    in_file = settings
    read: dict[tuple[str, str], tuple[NodeEvidence | NodeStoreUnavailable, str]] = {}
    found: dict[str, tuple[NodeEvidence | NodeStoreUnavailable, str]] = {}
    while True:
        places = {name: node.redis for name, node in settings.nodes.items()}
        new = [name for name, url in places.items() if (name, url) not in read]
        async with FleetRedis(settings) as redis:
            commands = {name: [*evidence_commands(name), ("HGET", FLEET, name), ("TIME",)] for name in new}
            answers = await redis.ask(commands)
        read |= {(name, places[name]): _said(name, answer) for name, answer in answers.items()}
        found |= {name: read[name, url] for name, url in places.items()}
        members = combined_members(
            [evidence for evidence, _ in read.values() if isinstance(evidence, NodeEvidence)], settings.nodes
        )
        if not new:
            evidence_by_node = {name: evidence for name, (evidence, _) in found.items()}
            waits = {name: reason for name, (_, reason) in found.items() if reason}
            return FleetMembers(settings, members, evidence_by_node, waits)
        settings = settings.model_copy(update={"nodes": settings.nodes | with_members(in_file, members).nodes})


def with_members(settings: FleetSettings, members: Members) -> FleetSettings:
    """Return `settings` with the members that they do not name; the same object if there is no such member."""
    published: dict[str, NodeSettings] = {}
    for node, replica in members.active.items():
        if node not in settings.nodes:
            with suppress(SettingsError, UnknownNode):
                grpc, redis = members.facts[replica].grpc, redis_url(settings, members, node)
                published[node] = checked_node(node, grpc=grpc, redis=redis)
    return settings.model_copy(update={"nodes": settings.nodes | published}) if published else settings


def _said(name: str, answer: Replies | NodeStoreUnavailable) -> tuple[NodeEvidence | NodeStoreUnavailable, str]:
    """Return the evidence in the answer of a node's Redis, or why there is none; and for what its worker waits."""
    if isinstance(answer, NodeStoreUnavailable):
        return answer, ""
    waits = (_heartbeat_fields(answer) or {}).get("waits")
    return _evidence(name, answer[:-2]), str(waits or "")


def _heartbeat_fields(replies: Replies) -> dict[str, Any] | None:
    value, redis_time = replies[-2:]
    if isinstance(value, Exception) or isinstance(redis_time, Exception):
        return None
    return fresh_fields(value, redis_time)


def _evidence(name: str, replies: Replies) -> NodeEvidence | NodeStoreUnavailable:
    try:
        return evidence_of(name, replies)
    except DeltaicError as error:
        return NodeStoreUnavailable("", str(error))

"""Declares the settings of a fleet: one frozen class per concern, and `FleetSettings` with all of them.

Those that hold secrets are in `workers.config.protection`.

Each field has its unit in its name, and a description that says what a larger value costs. `deltaic settings` prints
them all. `workers.config.loading` reads their values from the fleet file and the environment.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator

from crdt_core.errors import UnknownNode, brief
from crdt_core.types.members import RESERVED
from workers.config.protection import SecuritySettings, ValkeySettings
from workers.config.redis_url import check_url, publishable
from workers.config.section import Positive, Section

__all__ = [
    "NODE_NAME",
    "ChannelSettings",
    "ClockSettings",
    "FleetSettings",
    "GossipSettings",
    "JobsSettings",
    "LimitSettings",
    "MembershipSettings",
    "NodeSettings",
    "PolicySettings",
]

NODE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")

_HOST_PORT = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:]+):(\d{1,5})")


class NodeSettings(Section):
    """One node: the addresses of its worker, and the Redis or Valkey that holds its replica."""

    grpc: str = Field(description="host:port at which clients reach the worker's gRPC face")
    redis: str = Field(
        description="URL of the node's Redis: redis://, rediss:// or unix://; see `workers.config.redis_url`"
    )
    bind: str | None = Field(
        default=None, description="host:port on which the gRPC face listens; default: the grpc address"
    )
    resp: str | None = Field(
        default=None, description="host:port on which the worker speaks the Redis protocol; default: it does not"
    )
    jobs: str | None = Field(
        default=None, description="URL of the Redis that holds the node's RQ queue; default: the node's own Redis"
    )
    _published: str | None = PrivateAttr(default=None)

    @field_validator("grpc", "bind", "resp")
    @classmethod
    def _host_port(cls, value: str | None) -> str | None:
        if value is None:
            return None
        match = _HOST_PORT.fullmatch(value)
        if match is None or not 0 < int(match[2]) < 65536:
            raise ValueError("must be host:port")
        return value

    @field_validator("redis", "jobs")
    @classmethod
    def _redis_url(cls, value: str | None) -> str | None:
        if value is not None:
            check_url(value)
        return value

    @property
    def bind_address(self) -> str:
        """The host:port on which the gRPC face listens.

        It differs from `grpc`, which clients use, where a container or proxy is between them.
        """
        return self.bind or self.grpc

    @property
    def listens_at(self) -> dict[str, str]:
        """The host:port on which each face listens, by the name of its setting."""
        faces = {"bind" if self.bind else "grpc": self.bind_address}
        return {**faces, "resp": self.resp} if self.resp else faces

    @property
    def published_redis(self) -> str:
        """The Redis URL that the other members may read; empty if the fleet file's URL holds a password."""
        return publishable(self.redis) if self._published is None else self._published

    def publish(self, url: str) -> None:
        """Let the members read `url`, because the password of the embedded server was put into `redis`."""
        self._published = url

    @property
    def jobs_url(self) -> str:
        """The URL of the Redis that holds this node's RQ queue."""
        return self.jobs or self.redis


class GossipSettings(Section):
    """Anti-entropy: how often a node exchanges with its peers, with how many, and how much at once.

    While all members agree and nothing changes, a round a minute is enough, whatever the interval.
    """

    interval_s: Positive = Field(
        default=2, description="seconds between two gossip rounds of a node; more: later repair, less traffic"
    )
    fanout: Positive = Field(
        default=2, description="random peers that a round exchanges with; more: faster repair, more traffic"
    )
    timeout_ms: Positive = Field(
        default=5000, description="how long an exchange waits for the peer's answer; more: longer rounds"
    )
    chunk_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=1 << 20, description="bytes of one message of a large patch; more: fewer messages, longer turns"
    )
    log_entries_max: Positive = Field(
        default=100_000, description="deltas that a node keeps for peers that are away; more: memory in Redis"
    )
    log_entries_kept: Positive = Field(
        default=100,
        description="latest deltas that stay in the log for inspection when every node has them; more: memory in Redis",
    )
    batch_deltas: Positive = Field(default=512, description="deltas read from a peer's log at once; more: longer turns")
    touched_max: Positive = Field(
        default=200_000,
        description="recent writes per replica id in the change index, which makes patches cheap; more: worker memory",
    )


class MembershipSettings(Section):
    """Which nodes belong to the fleet."""

    fence_after_s: Positive = Field(
        default=7 * 24 * 3600,
        description="how long a member may be away before the others fence it; more: tombstones are kept longer",
    )


class JobsSettings(Section):
    """The periodic RQ jobs. While all members agree and nothing changes, each runs once a minute at most."""

    compaction_interval_s: Positive = Field(
        default=10, description="seconds between two compactions of a node; more: tombstones are kept longer"
    )
    audit_interval_s: Positive = Field(
        default=10, description="seconds between two convergence audits of a node; more: later alarms"
    )
    workers: Positive = Field(default=2, description="RQ worker processes of `deltaic jobs`; more: memory")


class LimitSettings(Section):
    """What callers and peers may send. A request beyond a limit changes nothing, and its error names the setting."""

    key_bytes_max: Positive = Field(default=1024, description="bytes of a key; more: memory for each key")
    value_bytes_max: Positive = Field(default=1 << 20, description="bytes of an element or value; more: longer turns")
    message_bytes_max: Annotated[int, Field(ge=1024, le=2**31 - 1)] = Field(
        default=64 << 20,
        description="bytes of one gRPC message, in either direction, and of one argument, one request and one "
        "transaction (MULTI) of the Redis face; more: worker memory",
    )
    concurrent_calls_max: Positive = Field(
        default=1000, description="gRPC calls in progress at once, over all connections; more: worker memory"
    )
    batch_operations_max: Positive = Field(
        default=1000, description="operations of one gRPC batch; more: longer turns, which delay all other callers"
    )
    transaction_commands_max: Positive = Field(
        default=100_000,
        description="commands of one transaction (MULTI) of the Redis face; more: longer turns, which delay all other "
        "callers",
    )
    stream_batches_max: Positive = Field(
        default=16, description="batches of one gRPC stream in progress at once; more: worker memory"
    )
    inbox_entries_max: Positive = Field(
        default=10_000,
        description="messages that may wait for a node; beyond it the oldest are dropped, and gossip rounds repair the "
        "loss; more: memory in Redis",
    )
    foreign_replicas_max: Annotated[int, Field(ge=0, le=2048)] = Field(
        default=256,
        description="replica ids that belong to no node and that callers' patches may add; more: clocks that stay "
        "longer for ever",
    )
    write_timeout_ms: Positive = Field(
        default=10_000, description="how long a call waits for its commit; more: callers notice trouble later"
    )
    commit_timeout_ms: Positive = Field(
        default=5000, description="silence of Redis after which the worker gives its connection up; more: later repair"
    )
    connections_max: Positive = Field(
        default=10_000,
        description="clients of the Redis face at once; more: worker memory (over TLS 100 kB each), open files",
    )
    output_bytes_max: Annotated[int, Field(ge=1 << 20)] = Field(
        default=256 << 20,
        description="bytes that a client of the Redis face may leave unread before it is disconnected; more: worker "
        "memory",
    )
    calls_waiting_max: Positive = Field(
        default=10_000, description="calls that wait for their turn; more: worker memory, longer waits"
    )
    databases: Annotated[int, Field(ge=1, le=16)] = Field(
        default=1,
        description="databases that SELECT accepts, for programs that insist on one: all of them are database 0; more: "
        "programs that keep their keys apart by database meet each other's, and FLUSHDB deletes them",
    )


class ClockSettings(Section):
    """How far the hybrid logical clock follows the clocks of other nodes."""

    skew_warn_ms: Positive = Field(
        default=500, description="a peer's stamp that is further ahead is counted and logged; more: later warnings"
    )
    skew_refuse_ms: Positive = Field(
        default=60_000,
        description="the hybrid clock does not follow a peer's stamp that is further ahead; more: one wrong clock "
        "moves the whole fleet's",
    )


class ChannelSettings(Section):
    """The channels of the Redis face: PUBLISH and SUBSCRIBE."""

    fleet_wide: bool = Field(
        default=True,
        description="whether PUBLISH is heard at all connected nodes, or only at its own; at all: a PUBLISH in the "
        "node's Redis for each message, and a connection of each peer",
    )


class PolicySettings(Section):
    """Which types the Redis face gives to new keys that begin with the policy's prefix. The longest prefix wins.

    A policy decides about new keys only. All nodes of a fleet should have the same policies, but nothing breaks where
    they differ.
    """

    sets: Literal["add-wins", "remove-wins"] | None = Field(
        default=None, description="what wins in sets that SADD creates: an add, or a concurrent remove"
    )
    strings: Literal["last-writer-wins", "multi-value"] | None = Field(
        default=None, description="what remains of concurrent writes to strings that SET creates: the last one, or all"
    )


class FleetSettings(Section):
    """All settings of a fleet.

    `nodes` has the addresses of each node by its name, in the order of the file. `policies` has the policy of each key
    prefix.
    """

    nodes: dict[str, NodeSettings] = Field(min_length=1)
    gossip: GossipSettings = GossipSettings()
    membership: MembershipSettings = MembershipSettings()
    jobs: JobsSettings = JobsSettings()
    limits: LimitSettings = LimitSettings()
    security: SecuritySettings = SecuritySettings()
    clock: ClockSettings = ClockSettings()
    valkey: ValkeySettings = ValkeySettings()
    channels: ChannelSettings = ChannelSettings()
    policies: dict[str, PolicySettings] = Field(default={})

    @field_validator("policies")
    @classmethod
    def _check_policies(cls, policies: dict[str, PolicySettings]) -> dict[str, PolicySettings]:
        for prefix, policy in policies.items():
            if prefix.startswith(RESERVED.decode()):
                raise ValueError(f"keys that begin with {RESERVED.decode()!r} are reserved")
            if policy.sets is None and policy.strings is None:
                raise ValueError(f"{brief(prefix)} sets nothing: it needs sets or strings")
        return policies

    @field_validator("nodes")
    @classmethod
    def _check_names(cls, nodes: dict[str, NodeSettings]) -> dict[str, NodeSettings]:
        for name in nodes:
            if NODE_NAME.fullmatch(name) is None:
                raise ValueError(f"node name {name!r} must match {NODE_NAME.pattern}")
        return nodes

    def node(self, name: str) -> NodeSettings:
        """Return the settings of node `name`; raises `UnknownNode`."""
        try:
            return self.nodes[name]
        except KeyError:
            raise UnknownNode(name, list(self.nodes)) from None

    def peers_of(self, name: str) -> dict[str, NodeSettings]:
        """Return the settings of all other nodes, by name."""
        return {peer: node for peer, node in self.nodes.items() if peer != name}

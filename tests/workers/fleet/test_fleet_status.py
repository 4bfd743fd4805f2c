"""The status of all nodes side by side, and its JSON, on which scripts rely."""

from __future__ import annotations

import orjson

from crdt_core.lattice.clocks import VersionVector
from crdt_core.types.members import Fact, Members, Standing
from workers.config.settings import NodeSettings
from workers.fleet.agreement import group_by_clock
from workers.fleet.fleet_status import Away, FleetStatus
from workers.fleet.node_status import Lag, NodeStatus

SETTINGS = NodeSettings(grpc="h:1", redis="redis://:s3cret@h")


def node(name: str, counter: int = 1, digest: str = "d", **fields) -> NodeStatus:
    clock = VersionVector({"n1": counter})
    return NodeStatus(name, SETTINGS, clock=clock, digest=digest, beat_age_ms=0, replica=name, **fields)


def fleet(*nodes: NodeStatus, away: dict[str, Away] | None = None, **facts: Fact) -> FleetStatus:
    found = {status.name: status for status in nodes}
    return FleetStatus(1000, found, group_by_clock(nodes), Members(facts, {}), away or {})


def test_it_is_healthy_while_every_member_is_up_and_can_be_read() -> None:
    assert fleet(node("n1"), node("n2")).healthy
    assert fleet(node("n1"), NodeStatus("n2", SETTINGS, standing=None)).healthy, "n2 is no member"
    assert not fleet(node("n1"), NodeStatus("n2", SETTINGS)).healthy, "n2 is down"
    assert not fleet(node("n1"), node("n2", problem="no answer")).healthy
    assert not fleet(node("n1"), node("n2", heartbeat={"waits": "for n1"})).healthy


def test_a_redis_that_may_lose_what_it_holds_or_has_lost_some_is_not_healthy() -> None:
    """A status said so in a note only, and ended with 0."""
    assert not fleet(node("n1"), node("n2", heartbeat={"evicts": "allkeys-lru"})).healthy
    assert not fleet(node("n1"), node("n2", heartbeat={"persisted_again": 3})).healthy
    audited = {"at_ms": 7, "persisted_again": 3}
    assert fleet(node("n1"), node("n2", heartbeat={"persisted_again": 3}, audit=audited)).healthy, "audited since"
    assert not fleet(node("n1"), node("n2", heartbeat={"persisted_again": 4}, audit=audited)).healthy


def test_it_agrees_is_apart_or_is_an_alarm() -> None:
    assert fleet(node("n1"), node("n2")).agreement == "agree"
    assert fleet(node("n1"), node("n2", 2)).agreement == "apart"
    assert fleet(node("n1"), node("n2", digest="e"), node("n3", 2)).agreement == "mismatch"
    assert fleet(NodeStatus("n1", SETTINGS)).agreement is None


def test_paused_links_and_leaving_ids_are_listed() -> None:
    status = fleet(
        node("n1", links={"n2": "paused", "n3": "open"}),
        NodeStatus("n2", SETTINGS),
        n1=Fact(Standing.ACTIVE, "n1"),
        n4=Fact(Standing.LEAVING, "n4", reason="removed", at_ms=7),
        n5=Fact(Standing.SEALED, "n5", reason="absent", at_ms=7),
        n6=Fact(Standing.FOLDED, "n6", reason="removed", at_ms=7),
    )
    assert status.paused == [("n1", "n2")]
    assert list(status.leaving) == ["n4", "n5"]


def test_scripts_find_every_field_under_the_name_that_it_always_had() -> None:
    """Tombstones are called markers there: they were once renamed in passing, for those whom `away` is about."""
    status = fleet(
        node("n1", tombstones=3, lag={"n2": Lag(2, None)}, heartbeat={"joins": {"done": 1}}, waiting={"markers": 3}),
        away={"n3": Away(61_000, None, 9, 400)},
        n4=Fact(Standing.LEAVING, "n4", reason="removed", at_ms=7),
    )
    found = orjson.loads(orjson.dumps(status.to_json()))
    assert found.keys() == {"at_ms", "agreement", "healthy", "groups", "nodes", "away", "leaving"}
    assert found["nodes"]["n1"] == {
        "up": True, "serving": False, "beat_age_ms": 0, "clock_skew_ms": None, "problem": None, "trouble": None,
        "grpc": "h:1", "resp": None, "redis": "redis://:***@h", "replica": "n1",
        "clock": {"n1": 1}, "stable": None, "digest": "d", "agreement": None,
        "log": None, "inbox": None, "quarantine": None, "markers": 3,
        "standing": "active", "joining": False, "joins": {"done": 1}, "waits": None,
        "evicts": None, "persisted_again": 0,
        "absent": {}, "waiting": {"markers": 3}, "links": None, "lag": {"n2": {"deltas": 2, "ms": None}},
        "round": None, "audit": None,
    }  # fmt: skip
    assert found["groups"] == [{"nodes": ["n1"], "clock": {"n1": 1}, "digests": {"d": ["n1"]}}]
    assert found["away"] == {"n3": {"ms": 61_000, "fence_in_ms": None, "markers": 9, "bytes": 400}}
    assert found["leaving"] == [
        {"replica": "n4", "node": "n4", "standing": "leaving", "reason": "removed", "since_ms": 7}
    ]

"""Who belongs to the fleet, by what the Redis of all nodes say together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.types.members import Fact, Members, Standing
from tests.server import ValkeyServer
from tests.workers.fleet.publishing import AWAY, publish_beat, publish_header, publish_members, settings_of
from workers.fleet.members import read_members, with_members
from workers.fleet.stores import NodeStoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis


async def test_the_founders_are_the_members_until_somebody_writes_more_down(
    client: Redis, server: ValkeyServer
) -> None:
    publish_header(client, "n1", {"n1": 3}, founders=["n1", "n2"])
    fleet = await read_members(settings_of(n1=server.url, n2=server.url))
    assert fleet.members.active == {"n1": "n1", "n2": "n2"}
    evidence = fleet.evidence("n1")
    assert evidence is not None
    assert evidence.clock == {"n1": 3}
    assert fleet.latest("n9") is None


async def test_a_member_that_the_fleet_file_does_not_name_is_read_at_its_published_address(
    client: Redis, server: ValkeyServer
) -> None:
    publish_header(client, "n1", {"n1": 3})
    publish_members(client, "n1", ("n1", "active", "n1", "", ""), ("n4", "active", "n4", "h:4", server.url))
    publish_header(client, "n4", {"n4": 7})
    publish_members(client, "n4", ("n5", "active", "n5", "h:5", server.url))
    fleet = await read_members(settings_of(n1=server.url))
    assert list(fleet.settings.nodes) == ["n1", "n4", "n5"]
    assert fleet.settings.nodes["n4"].grpc == "h:4"
    assert fleet.evidence("n4") is not None
    assert fleet.members.active.keys() == {"n1", "n4", "n5"}


async def test_a_name_is_read_again_where_another_machine_is_found_to_keep_it(
    client: Redis, server: ValkeyServer, tmp_path: Path
) -> None:
    """`deltaic status` and `deltaic node list` showed what the first machine had, whichever kept the name."""
    elsewhere = ValkeyServer(tmp_path).start()
    first, second = [(f"n4-{nonce}", "active", "n4", "h:4") for nonce in ("07b3e8", "4f2a91")]
    try:
        publish_header(client, "n1", {"n1": 3})
        publish_members(client, "n1", ("n1", "active", "n1", "", ""), (*first, elsewhere.url))
        publish_header(client, "n4", {"n1": 3}, replica="n4-4f2a91")
        with elsewhere.client() as other:
            publish_header(other, "n4", {"n1": 2}, replica="n4-07b3e8")
            publish_members(other, "n4", (*first, elsewhere.url), (*second, server.url))
        fleet = await read_members(settings_of(n1=server.url))
    finally:
        elsewhere.stop()
    evidence = fleet.evidence("n4")
    assert evidence is not None
    assert (evidence.replica, fleet.settings.nodes["n4"].redis) == ("n4-4f2a91", server.url)


async def test_a_redis_that_is_away_or_makes_no_sense_says_why(client: Redis, server: ValkeyServer) -> None:
    client.hset("deltaic:{n2}", "clock", "nonsense")
    fleet = await read_members(settings_of(n1=AWAY, n2=server.url))
    away, nonsense = fleet.evidence_by_node["n1"], fleet.evidence_by_node["n2"]
    assert isinstance(away, NodeStoreUnavailable)
    assert away.reason == "connection refused"
    assert isinstance(nonsense, NodeStoreUnavailable)
    assert "malformed" in nonsense.reason
    assert fleet.evidence("n1") is None


async def test_the_latest_id_of_a_node_is_the_active_one_or_the_last_that_left(
    client: Redis, server: ValkeyServer
) -> None:
    publish_header(client, "n1", {"n1": 3})
    publish_members(
        client,
        "n1",
        ("n1", "active", "n1", "", ""),
        ("n2", "leaving", "n2", "lost", 7),
        ("n2.2", "active", "n2", "", ""),
        ("n3", "sealed", "n3", "removed", 7, 41),
    )
    fleet = await read_members(settings_of(n1=server.url, n2=AWAY, n3=AWAY))
    latest = {name: fleet.latest(name) for name in ("n2", "n3")}
    assert latest["n2"] == ("n2.2", Fact(Standing.ACTIVE, "n2"))
    assert latest["n3"] == ("n3", Fact(Standing.SEALED, "n3", reason="removed", at_ms=7, final=41))


async def test_commits_that_no_other_member_has_seen_are_counted(client: Redis, server: ValkeyServer) -> None:
    publish_header(client, "n1", {"n1": 7, "n2": 1})
    publish_header(client, "n2", {"n1": 4, "n2": 1})
    fleet = await read_members(settings_of(n1=server.url, n2=server.url, n3=AWAY))
    assert [fleet.unseen_commits(name) for name in ("n1", "n2", "n3")] == [3, 0, None]


async def test_a_worker_that_waits_says_why_while_its_heartbeat_is_fresh(client: Redis, server: ValkeyServer) -> None:
    publish_beat(client, "n1", waits="for n2")
    publish_beat(client, "n2", age_ms=10_000, waits="for n1")
    fleet = await read_members(settings_of(n1=server.url, n2=server.url))
    assert fleet.waits == {"n1": "for n2"}


def test_members_that_are_named_already_change_nothing() -> None:
    settings = settings_of(n1=AWAY)
    assert with_members(settings, Members.founders(["n1"])) is settings
    unusable = Members({"n4": Fact(Standing.ACTIVE, "n4", grpc="", redis="")}, {})
    assert with_members(settings, unusable) is settings

"""Cutting a fleet and healing it: which links that are, and setting them in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import InvalidArgument, UnknownNode
from tests.workers.fleet.publishing import AWAY, settings_of
from workers.fleet.partitions import healed_links, partition_cuts, set_links
from workers.fleet.stores import FleetRedis, NodeStoreUnavailable
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from tests.server import ValkeyServer

FIVE = ["n1", "n2", "n3", "n4", "n5"]


@pytest.mark.parametrize(
    ("words", "cut_off"),
    [
        (["n3"], {"n3": "n1 n2 n4 n5"}),
        (["n1,n2"], {"n1": "n3 n4 n5", "n2": "n3 n4 n5"}),
        (["n1,n2", "n3,n4,n5"], {"n1": "n3 n4 n5", "n2": "n3 n4 n5"}),
        (["n1", "n2"], {"n1": "n2 n3 n4 n5", "n2": "n1 n3 n4 n5"}),
    ],
)
def test_groups_do_not_hear_each_other(words: list[str], cut_off: dict[str, str]) -> None:
    one_way = {(one, other) for one, others in cut_off.items() for other in others.split()}
    assert partition_cuts(words, FIVE) == one_way | {(other, one) for one, other in one_way}


def test_an_arrow_is_one_direction() -> None:
    assert partition_cuts(["n1->n3"], FIVE) == {("n3", "n1")}
    assert partition_cuts(["n1,n2->n3", "n4→n5"], FIVE) == {("n3", "n1"), ("n3", "n2"), ("n5", "n4")}
    assert partition_cuts(["n5", "n1->n2"], FIVE) == partition_cuts(["n5"], FIVE) | {("n2", "n1")}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["n1,n2", "n2"], "is named in more than one group"),
        (["n1->n1"], "n1 is on both sides of the arrow"),
        (["n1->n2->n3"], "has more than one arrow"),
        (["->n1"], "names no node"),
        ([","], "names no node"),
        (["n1,n2,n3,n4,n5"], "names every node"),
        (["n1-"], "write 'n1->n3' in quotes"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        partition_cuts(words, FIVE)


def test_unknown_nodes_are_refused() -> None:
    for ask in (partition_cuts, healed_links):
        with pytest.raises(UnknownNode):
            ask(["n1", "n9"], FIVE)


def test_all_links_are_healed_or_some() -> None:
    assert len(healed_links([], FIVE)) == 20
    assert healed_links(["n1->n3"], FIVE) == {("n3", "n1")}
    assert healed_links(["n3"], FIVE) == partition_cuts(["n3"], FIVE)


async def test_links_are_set_where_redis_answers_and_all_are_shown(server: ValkeyServer) -> None:
    client = server.client()
    client.flushdb()
    settings = settings_of(n1=server.url, n2=server.url, n3=AWAY)
    async with FleetRedis(settings) as redis:
        cut = partition_cuts(["n3"], list(settings.nodes))
        for _ in range(2):  # it is idempotent
            matrix = await set_links(redis, settings, cut, paused=True)
            assert matrix["n1"] == {"n2": True, "n3": False}
            assert matrix["n2"] == {"n1": True, "n3": False}
            assert isinstance(matrix["n3"], NodeStoreUnavailable)
        assert client.hgetall(Keys("n1").links) == {b"n3": b"paused"}
        matrix = await set_links(redis, settings, {("n1", "n3")}, paused=False)
        assert (matrix["n1"], matrix["n2"]) == ({"n2": True, "n3": True}, {"n1": True, "n3": False})
        client.delete(Keys("n1").links)
        client.set(Keys("n1").links, "a string")
        row = (await set_links(redis, settings, (), paused=False))["n1"]
        assert isinstance(row, NodeStoreUnavailable)
        assert "WRONGTYPE" in row.reason

"""Five real workers, by gRPC: the cases that the fleet is measured by, and their neighbours."""

from __future__ import annotations

import asyncio

import grpc
import pytest
import pytest_asyncio

from tests.fleet import code_of
from tests.support import wait_until_async
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.deltaic_pb2_grpc import ControlServiceStub, CRDTServiceStub, ReplicationServiceStub

GROW_ONLY = pb.GROW_ONLY_COUNTER
INT64_MAX = 2**63 - 1


class ClusterNode:
    """A node's calls as the cases write them."""

    def __init__(self, node_id: str, channel: grpc.aio.Channel) -> None:
        self.node_id = node_id
        self._objects = CRDTServiceStub(channel)
        self._replication = ReplicationServiceStub(channel)
        self._control = ControlServiceStub(channel)

    async def IncrementCounter(self, counter_id, amount):
        return await self._objects.IncrementCounter(pb.IncrementCounterRequest(counter_id=counter_id, amount=amount))

    async def DecrementCounter(self, counter_id, amount):
        return await self._objects.DecrementCounter(pb.DecrementCounterRequest(counter_id=counter_id, amount=amount))

    async def GetCounter(self, counter_id):
        return await self._objects.GetCounter(pb.GetCounterRequest(counter_id=counter_id))

    async def AddToSet(self, set_id, element):
        return await self._objects.AddToSet(pb.AddToSetRequest(set_id=set_id, element=element))

    async def RemoveFromSet(self, set_id, element):
        return await self._objects.RemoveFromSet(pb.RemoveFromSetRequest(set_id=set_id, element=element))

    async def GetSet(self, set_id):
        return await self._objects.GetSet(pb.GetSetRequest(set_id=set_id))

    async def SetRegister(self, register_id, value, timestamp=None):
        request = pb.SetRegisterRequest(register_id=register_id, value=value, timestamp=timestamp)
        return await self._objects.SetRegister(request)

    async def GetRegister(self, register_id):
        return await self._objects.GetRegister(pb.GetRegisterRequest(register_id=register_id))

    async def SyncAll(self):
        return await self._replication.SyncAll(pb.SyncAllRequest())

    async def Partition(self, *peers):
        return await self._control.Partition(pb.PartitionRequest(peers=peers))

    async def Heal(self):
        return await self._control.Heal(pb.HealRequest())

    async def Status(self):
        return await self._control.Status(pb.StatusRequest())


@pytest_asyncio.fixture
async def cluster(fleet):
    channels = {name: grpc.aio.insecure_channel(node.address) for name, node in fleet.nodes.items()}
    yield [ClusterNode(name, channel) for name, channel in channels.items()]
    await asyncio.gather(*(channel.close() for channel in channels.values()))


async def trigger_sync(cluster):
    """Everybody exchanges with everybody; returns when all hold the same."""
    await asyncio.gather(*(node.SyncAll() for node in cluster))

    async def agree():
        statuses = await asyncio.gather(*(node.Status() for node in cluster))
        return len({(tuple(sorted(status.clock.items())), status.digest) for status in statuses}) == 1

    await wait_until_async(agree, 20, "all nodes to agree")


async def partition_node(cluster, node_id):
    """The node and all others do not listen to each other."""
    for node in cluster:
        await (node.Partition() if node.node_id == node_id else node.Partition(node_id))


async def heal_partition(cluster):
    await asyncio.gather(*(node.Heal() for node in cluster))


class TestCRDT:
    async def test_g_counter_convergence(self, cluster):
        """G-Counters converge after concurrent updates."""
        counter_id = "test_counter"
        await asyncio.gather(
            cluster[0].IncrementCounter(counter_id, amount=10),
            cluster[1].IncrementCounter(counter_id, amount=20),
            cluster[2].IncrementCounter(counter_id, amount=30),
        )
        await trigger_sync(cluster)
        values = await asyncio.gather(*[node.GetCounter(counter_id) for node in cluster])
        assert [v.value for v in values] == [60] * 5

    async def test_pn_counter_with_decrements(self, cluster):
        """PN-Counter handles increments and decrements."""
        counter_id = "pn_counter"
        await asyncio.gather(
            cluster[0].IncrementCounter(counter_id, amount=100),
            cluster[1].DecrementCounter(counter_id, amount=30),
            cluster[2].IncrementCounter(counter_id, amount=50),
        )
        await trigger_sync(cluster)
        values = await asyncio.gather(*[node.GetCounter(counter_id) for node in cluster])
        assert [v.value for v in values] == [120] * 5

    async def test_or_set_add_remove(self, cluster):
        """OR-Set handles concurrent add and remove: the add wins."""
        set_id = "test_set"
        await cluster[0].AddToSet(set_id, element="apple")
        await trigger_sync(cluster)

        # Neither must hear of the other in time, or they would not be concurrent.
        await partition_node(cluster, cluster[1].node_id)
        added, removed = await asyncio.gather(
            cluster[1].AddToSet(set_id, element="apple"),  # Re-add
            cluster[2].RemoveFromSet(set_id, element="apple"),
        )
        assert not added.added
        assert removed.removed
        assert list((await cluster[2].GetSet(set_id)).elements) == []

        await heal_partition(cluster)
        await trigger_sync(cluster)
        results = await asyncio.gather(*[node.GetSet(set_id) for node in cluster])
        assert [list(r.elements) for r in results] == [["apple"]] * 5

    async def test_lww_register_last_write_wins(self, cluster):
        """LWW-Register keeps value with highest timestamp."""
        register_id = "lww_test"
        await cluster[0].SetRegister(register_id, value="first", timestamp=1000)
        await cluster[1].SetRegister(register_id, value="second", timestamp=2000)
        await cluster[2].SetRegister(register_id, value="third", timestamp=1500)
        await trigger_sync(cluster)
        results = await asyncio.gather(*[node.GetRegister(register_id) for node in cluster])
        assert [(list(r.values), r.timestamp) for r in results] == [(["second"], 2000)] * 5

    async def test_mv_register_concurrent_values(self, cluster):
        """MV-Register keeps all concurrent values."""
        register_id = "mv_test"
        await partition_node(cluster, cluster[0].node_id)
        await asyncio.gather(
            cluster[0].SetRegister(register_id, value="alice"),
            cluster[1].SetRegister(register_id, value="bob"),
        )
        await heal_partition(cluster)
        await trigger_sync(cluster)
        results = await asyncio.gather(*[node.GetRegister(register_id) for node in cluster])
        assert [list(r.values) for r in results] == [["alice", "bob"]] * 5

        await cluster[3].SetRegister(register_id, value="carol")  # it has seen both
        await trigger_sync(cluster)
        results = await asyncio.gather(*[node.GetRegister(register_id) for node in cluster])
        assert [list(r.values) for r in results] == [["carol"]] * 5

    async def test_partition_and_heal(self, cluster):
        """CRDTs converge after network partition heals."""
        counter_id = "partition_test"
        await partition_node(cluster, cluster[2].node_id)
        await cluster[0].IncrementCounter(counter_id, amount=100)
        await cluster[2].IncrementCounter(counter_id, amount=50)

        # In vain while the partition lasts: each side shows what it can know.
        synced = await cluster[0].SyncAll()
        assert list(synced.peers_contacted) == ["n2", "n4", "n5"]
        values = await asyncio.gather(*[node.GetCounter(counter_id) for node in cluster])
        assert [v.value for v in values] == [100, 100, 50, 100, 100]

        await heal_partition(cluster)
        await trigger_sync(cluster)
        values = await asyncio.gather(*[node.GetCounter(counter_id) for node in cluster])
        assert [v.value for v in values] == [150] * 5


# Counters ---------------------------------------------------------------------------------------------------------


def test_a_grow_only_counter_cannot_be_decremented_at_any_node(fleet, key):
    fleet["n1"].increment(key, 5, kind=GROW_ONLY)
    fleet.agree()
    for node in fleet.nodes.values():
        for kind in (0, GROW_ONLY):
            with pytest.raises(grpc.RpcError) as refused:
                node.decrement(key, kind=kind)
            assert code_of(refused.value) is grpc.StatusCode.FAILED_PRECONDITION
            assert "grow-only" in refused.value.details()
    fleet.agree()
    assert fleet.everywhere("counter", key) == [5] * 5


def test_an_amount_below_zero_is_refused_so_that_grow_only_means_it(fleet, key):
    with pytest.raises(grpc.RpcError) as refused:
        fleet["n1"].increment(key, -1, kind=GROW_ONLY)
    assert code_of(refused.value) is grpc.StatusCode.INVALID_ARGUMENT
    assert fleet["n1"].counter(key) == 0


def test_an_overflow_is_refused_and_changes_nothing(fleet, key):
    fleet["n1"].increment(key, INT64_MAX)
    with pytest.raises(grpc.RpcError) as refused:
        fleet["n1"].increment(key, 1)
    assert code_of(refused.value) is grpc.StatusCode.OUT_OF_RANGE
    fleet.agree()
    assert fleet.everywhere("counter", key) == [INT64_MAX] * 5


def test_a_delete_takes_away_what_it_saw_and_no_concurrent_increment(fleet, key):
    fleet["n1"].increment(key, 5)
    fleet.agree()
    fleet.cut(["n1"], ["n2", "n3", "n4", "n5"])
    assert fleet["n1"].delete(key)
    fleet["n2"].increment(key, 1)
    fleet.heal()
    fleet.agree()
    assert fleet.everywhere("counter", key) == [1] * 5


# Registers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timestamp", [0, 1000, -5])
def test_equal_timestamps_agree_everywhere_on_the_higher_replica_id(fleet, key, timestamp):
    fleet.cut(["n1"], ["n2"])
    fleet.cut(["n1", "n2"], ["n3", "n4", "n5"])
    for name in ("n2", "n5", "n1"):
        assert fleet[name].set(key, f"by {name}", timestamp)
    fleet.heal()
    fleet.agree()
    assert fleet.everywhere("register", key) == [["by n5"]] * 5


def test_timestamp_zero_is_a_timestamp(fleet, key):
    """It is neither "no timestamp", which would make a multi-value register, nor older than no value at all."""
    assert fleet["n1"].set(key, "at zero", 0)
    fleet.agree()
    answer = fleet["n2"].objects.GetRegister(pb.GetRegisterRequest(register_id=key))
    assert (list(answer.values), answer.timestamp, answer.kind) == (["at zero"], 0, pb.LAST_WRITER_WINS_REGISTER)
    assert answer.HasField("timestamp")
    assert fleet["n2"].set(key, "at one", 1)
    assert not fleet["n2"].set(key, "at zero again", 0)
    fleet.agree()
    assert fleet.everywhere("register", key) == [["at one"]] * 5


def test_a_write_that_has_seen_another_wins_although_its_timestamp_is_equal(fleet, key):
    fleet["n5"].set(key, "first", 7)
    fleet.agree()
    assert fleet["n1"].set(key, "second", 7)
    fleet.agree()
    assert fleet.everywhere("register", key) == [["second"]] * 5


# Sets -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [("add", "remove"), ("remove", "add")])
def test_adding_an_element_that_is_present_survives_a_concurrent_remove(fleet, key, order):
    fleet["n1"].add(key, "apple", "pear")
    fleet.agree()
    fleet.cut(["n2"], ["n1", "n3", "n4", "n5"])
    for step in order:
        if step == "add":
            fleet["n2"].add(key, "apple")
        else:
            assert fleet["n3"].remove(key, "apple")
            assert fleet["n3"].remove(key, "pear")
    fleet.heal()
    fleet.agree()
    assert fleet.everywhere("elements", key) == [["apple"]] * 5


def test_a_remove_at_a_node_that_has_not_seen_the_add_removes_nothing(fleet, key):
    fleet.cut(["n3"], ["n1", "n2", "n4", "n5"])
    fleet["n1"].add(key, "apple")
    assert not fleet["n3"].remove(key, "apple")
    fleet.heal()
    fleet.agree()
    assert fleet.everywhere("elements", key) == [["apple"]] * 5


# Types ------------------------------------------------------------------------------------------------------------


def test_a_key_made_with_two_types_at_once_shows_one_of_them_everywhere_and_reports_the_other(fleet, key):
    fleet.cut(["n1"], ["n2", "n3", "n4", "n5"])
    fleet["n1"].add(key, "apple")
    fleet["n2"].increment(key, 3)
    fleet.heal()
    fleet.agree()
    for node in fleet.nodes.values():
        seen = node.inspect(key)
        assert (seen.type, seen.value_json, list(seen.conflicts)) == ("pncounter", b"3", ["orset"])


# Exchange ---------------------------------------------------------------------------------------------------------


def test_one_sync_all_brings_to_every_node_what_any_of_them_knew(fleet, key):
    names = list(fleet.nodes)
    for name in names:
        fleet[name].partition()
    for name in names:
        fleet[name].increment(key)
    fleet.redis().delete(*(node.keys.log for node in fleet.nodes.values()))  # so that nothing else can bring it
    fleet.heal()
    report = fleet["n3"].sync()
    assert sorted(report.peers_contacted) == ["n1", "n2", "n4", "n5"]
    assert report.messages_sent == 8
    assert fleet.everywhere("counter", key) == [5] * 5

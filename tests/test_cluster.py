"""The six tests of the five-node cluster's specification, over gRPC against real workers, and what they leave open.

Where the specification sleeps, these wait: `SyncAll` returns when the exchange is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from tests.fleet import code_of
from workers.rpc import deltaic_pb2 as pb

if TYPE_CHECKING:
    from tests.client import NodeClient
    from tests.fleet import Fleet


def register(node: NodeClient, key: str) -> list[str]:
    return list(node.crdt.GetRegister(pb.GetRegisterRequest(register_id=key), timeout=5).values)


def write_register(node: NodeClient, key: str, value: str, timestamp: int | None = None) -> bool:
    request = pb.SetRegisterRequest(register_id=key, value=value, timestamp=timestamp)
    return node.crdt.SetRegister(request, timeout=5).applied


def decrement(node: NodeClient, key: str, amount: int, kind: pb.CounterKind = pb.COUNTER_KIND_UNSPECIFIED) -> int:
    request = pb.DecrementCounterRequest(counter_id=key, amount=amount, kind=kind)
    return node.crdt.DecrementCounter(request, timeout=5).value


class TestCRDT:
    """The specification's own cases, by their names."""

    def test_g_counter_convergence(self, cluster: Fleet) -> None:
        n1, n2, n3 = cluster["n1"], cluster["n2"], cluster["n3"]
        cluster.at_once(
            lambda: n1.increment("test_counter", 10),
            lambda: n2.increment("test_counter", 20),
            lambda: n3.increment("test_counter", 30),
        )
        cluster.sync()
        assert cluster.everywhere(lambda node: node.counter("test_counter")) == [60] * 5

    def test_pn_counter_with_decrements(self, cluster: Fleet) -> None:
        n1, n2, n3 = cluster["n1"], cluster["n2"], cluster["n3"]
        cluster.at_once(
            lambda: n1.increment("pn_counter", 100),
            lambda: decrement(n2, "pn_counter", 30),
            lambda: n3.increment("pn_counter", 50),
        )
        cluster.sync()
        assert cluster.everywhere(lambda node: node.counter("pn_counter")) == [120] * 5

    def test_or_set_add_remove(self, cluster: Fleet) -> None:
        n1, n2, n3 = cluster["n1"], cluster["n2"], cluster["n3"]
        n1.add("test_set", "apple")
        cluster.sync()
        cluster.cut(["n2"], ["n3"])  # so that the two below really are concurrent
        cluster.at_once(lambda: n2.add("test_set", "apple"), lambda: n3.remove("test_set", "apple"))
        assert n3.elements("test_set") == set()
        cluster.heal()
        cluster.sync()
        assert cluster.everywhere(lambda node: node.elements("test_set")) == [{"apple"}] * 5

    def test_lww_register_last_write_wins(self, cluster: Fleet) -> None:
        write_register(cluster["n1"], "lww_test", "first", timestamp=1000)
        write_register(cluster["n2"], "lww_test", "second", timestamp=2000)
        write_register(cluster["n3"], "lww_test", "third", timestamp=1500)
        cluster.sync()
        assert cluster.everywhere(lambda node: register(node, "lww_test")) == [["second"]] * 5

    def test_mv_register_concurrent_values(self, cluster: Fleet) -> None:
        cluster.cut(["n1"], ["n2"])
        cluster.at_once(
            lambda: write_register(cluster["n1"], "mv_test", "alice"),
            lambda: write_register(cluster["n2"], "mv_test", "bob"),
        )
        cluster.heal()
        cluster.sync()
        assert cluster.everywhere(lambda node: register(node, "mv_test")) == [["alice", "bob"]] * 5

    def test_partition_and_heal(self, cluster: Fleet) -> None:
        cluster.cut(["n3"], ["n1", "n2", "n4", "n5"])
        cluster["n1"].increment("partition_test", 100)
        cluster["n3"].increment("partition_test", 50)
        cluster.sync("n1")
        assert cluster["n3"].counter("partition_test") == 50
        assert cluster["n2"].counter("partition_test") == 100
        cluster.heal()
        cluster.sync()
        assert cluster.everywhere(lambda node: node.counter("partition_test")) == [150] * 5


def test_a_grow_only_counter_cannot_be_decremented(cluster: Fleet) -> None:
    node = cluster["n1"]
    request = pb.IncrementCounterRequest(counter_id="grows", amount=3, kind=pb.GROW_ONLY_COUNTER)
    node.crdt.IncrementCounter(request, timeout=5)
    assert code_of(lambda: decrement(node, "grows", 1)) is grpc.StatusCode.FAILED_PRECONDITION
    assert node.counter("grows") == 3


@pytest.mark.parametrize("timestamp", [0, 7, -5])
def test_equal_timestamps_agree_everywhere_on_the_higher_replica(cluster: Fleet, timestamp: int) -> None:
    key = f"tie at {timestamp}"
    cluster.cut(*([name] for name in cluster.names))
    for name in cluster.names:
        assert write_register(cluster[name], key, f"from {name}", timestamp=timestamp)
    cluster.heal()
    cluster.sync()
    assert cluster.everywhere(lambda node: register(node, key)) == [["from n5"]] * 5


def test_an_older_timestamp_changes_nothing(cluster: Fleet) -> None:
    assert write_register(cluster["n1"], "older", "new", timestamp=10)
    assert not write_register(cluster["n1"], "older", "old", timestamp=9)
    assert register(cluster["n1"], "older") == ["new"]


def test_adding_a_present_element_again_survives_a_concurrent_remove(cluster: Fleet) -> None:
    cluster["n1"].add("again", "apple")
    cluster.sync()
    cluster.cut(["n1"], ["n2", "n3", "n4", "n5"])
    cluster["n1"].add("again", "apple")
    cluster["n2"].remove("again", "apple")
    cluster.heal()
    cluster.sync()
    assert cluster.everywhere(lambda node: node.elements("again")) == [{"apple"}] * 5


def test_a_delete_takes_away_what_it_saw_of_a_counter_and_nothing_else(cluster: Fleet) -> None:
    cluster["n1"].increment("reset", 5)
    cluster.sync()
    cluster.cut(["n1"], ["n2", "n3", "n4", "n5"])
    cluster["n2"].crdt.Delete(pb.DeleteRequest(key="reset"), timeout=5)
    cluster["n1"].increment("reset", 1)
    cluster.heal()
    cluster.sync()
    assert cluster.everywhere(lambda node: node.counter("reset")) == [1] * 5


def test_a_key_made_with_two_types_concurrently_shows_one_of_them_everywhere_and_reports_the_other(
    cluster: Fleet,
) -> None:
    cluster.cut(["n1"], ["n2", "n3", "n4", "n5"])
    cluster["n1"].add("two types", "apple")
    cluster["n2"].increment("two types", 3)
    cluster.heal()
    cluster.sync()

    def view(node: NodeClient) -> tuple[str, bytes, list[str]]:
        seen = node.control.Inspect(pb.InspectRequest(key="two types"), timeout=5)
        return seen.type, seen.value_json, list(seen.conflicts)

    assert cluster.everywhere(view) == [("pncounter", b"3", ["orset"])] * 5


def test_sync_all_returns_when_every_reachable_node_knows_what_any_of_them_knew(cluster: Fleet) -> None:
    cluster.cut(*([name] for name in cluster.names))
    for name in cluster.names:
        cluster[name].increment("union", 1)
    cluster.heal()
    (report,) = cluster.sync("n3")
    assert sorted(report.peers_contacted) == ["n1", "n2", "n4", "n5"]
    assert cluster.everywhere(lambda node: node.counter("union")) == [5] * 5

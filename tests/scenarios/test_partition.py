"""Partitions made by pausing consumers: nothing gets through while they last, and everything afterwards."""

from __future__ import annotations

from itertools import pairwise

import grpc
import orjson
import pytest
from redis import Redis

from tests.fleet import Fleet, code_of
from tests.support import wait_until
from workers.wire.keys import OPEN, PAUSED

MINORITY, MAJORITY = ["n1", "n2"], ["n3", "n4", "n5"]
OTHERS_THAN_N1 = ["n2", "n3", "n4", "n5"]


def by_grpc(fleet):
    fleet.cut(MINORITY, MAJORITY)


def by_redis(fleet):
    fleet.cut_by_redis(MINORITY, MAJORITY)


def heal_by_grpc(fleet):
    for node in fleet.nodes.values():
        assert set(node.heal().values()) == {OPEN}


def heal_by_redis(fleet):
    fleet.cut_by_redis(MINORITY, MAJORITY, OPEN)


def heal_by_deleting_the_links(fleet):
    for node in fleet.nodes.values():
        fleet.redis(node.name).delete(node.keys.links)


@pytest.mark.parametrize(
    ("cut", "heal"),
    [(by_grpc, heal_by_grpc), (by_redis, heal_by_redis), (by_redis, heal_by_deleting_the_links)],
)
def test_both_sides_write_and_differ_and_agree_after_the_partition(fleet, key, cut, heal):
    counter, fruit = f"{key}-counter", f"{key}-fruit"
    fleet["n1"].increment(counter, 1)
    fleet["n1"].add(fruit, "apple")
    fleet.agree()
    cut(fleet)

    for number, node in enumerate(fleet.nodes.values()):
        node.increment(counter, 10**number)
        node.add(fruit, node.name)
    assert fleet["n2"].remove(fruit, "apple")
    fleet.agree(*MINORITY)
    fleet.agree(*MAJORITY)
    assert fleet.everywhere("counter", counter) == [12, 12, 11101, 11101, 11101]
    minority, majority = ["n1", "n2"], ["apple", "n3", "n4", "n5"]
    assert fleet.everywhere("elements", fruit) == [minority, minority, majority, majority, majority]

    # Nor does any exchange get through, whoever starts it.
    for node in fleet.nodes.values():
        side = MINORITY if node.name in MINORITY else MAJORITY
        assert set(node.sync().peers_contacted) == set(side) - {node.name}
    assert fleet.round("n3", "n1", "n2")["peers_contacted"] == []
    assert fleet.everywhere("counter", counter) == [12, 12, 11101, 11101, 11101]

    heal(fleet)
    fleet.agree()
    assert fleet.everywhere("counter", counter) == [11112] * 5
    assert fleet.everywhere("elements", fruit) == [["n1", "n2", "n3", "n4", "n5"]] * 5


def test_what_was_written_after_a_link_was_paused_by_hset_is_never_let_in(fleet, key):
    """The worker is told nothing and given no time: it looks at its links after reading and before believing."""
    for attempt in range(20):
        for peer in OTHERS_THAN_N1:
            fleet.set_link("n1", peer, PAUSED)
        fleet["n2"].increment(f"{key}-{attempt}")
        fleet.agree(*OTHERS_THAN_N1)
        assert fleet["n1"].counter(f"{key}-{attempt}") == 0
        fleet.heal()
    fleet.agree()
    assert fleet.everywhere("counter", f"{key}-19") == [1] * 5


def test_a_paused_link_is_deaf_in_one_direction_only(fleet, key):
    """n1 listens to nobody: all hear n1, by its log; what they send or ask for is dropped unread."""
    fleet["n1"].partition()
    seen = fleet["n1"].clock()
    dropped = fleet["n1"].metrics()["messages_dropped"]
    fleet["n1"].increment(key, 1)
    fleet["n2"].increment(key, 10)
    wait_until(lambda: fleet["n2"].counter(key) == 11, what="n2 to hear n1")

    result = fleet["n2"].sync("n1")
    assert (list(result.peers_contacted), list(result.peers_failed)) == ([], ["n1"])
    assert fleet["n1"].metrics()["messages_dropped"] > dropped
    assert fleet["n1"].counter(key) == 1
    assert {**fleet["n1"].clock(), "n1": 0} == {**seen, "n1": 0}


def test_what_is_in_the_inbox_is_dropped_if_the_link_is_paused_when_it_is_read(fleet, key):
    fleet.cut(["n1"], OTHERS_THAN_N1)
    fleet["n2"].increment(key)
    patch = fleet["n2"].patch(fleet["n1"].clock())
    push = b'{"v":1,"kind":"push","from":"n2","round":"none","patch":%s}' % orjson.dumps(patch)

    dropped = fleet["n1"].metrics()["messages_dropped"]
    fleet.tell("n1", push)
    wait_until(lambda: fleet["n1"].metrics()["messages_dropped"] > dropped, what="the push to be dropped")
    assert fleet["n1"].counter(key) == 0

    fleet.cut(["n1"], ["n3", "n4", "n5"])
    fleet.redis().delete(fleet["n2"].keys.log)  # so that only the push can bring it
    fleet["n1"].heal("n2")
    fleet.tell("n1", push)
    wait_until(lambda: fleet["n1"].counter(key) == 1, what="the push to be joined")


def test_two_nodes_that_do_not_hear_each_other_agree_through_a_third(fleet, key):
    """n1 and n3 do not hear each other, both hear n2: n3 has n1's writes after at most two rounds of its job."""
    fleet.cut(["n1"], ["n3", "n4", "n5"])
    fleet.cut(["n3"], ["n4", "n5"])
    fleet["n1"].increment(key, 7)
    fleet["n1"].add(f"{key}-set", "from n1")
    wait_until(lambda: fleet["n2"].elements(f"{key}-set"), what="n2 to hear n1")
    assert fleet["n3"].counter(key) == 0

    rounds = 0
    while fleet["n3"].counter(key) != 7:
        report = fleet.round("n3", "n2")
        rounds += 1
        assert report["peers_contacted"] == ["n2"]
        assert rounds <= 2
    assert fleet["n3"].elements(f"{key}-set") == ["from n1"]
    assert fleet["n3"].status().links["n1"] == PAUSED


def test_a_write_that_builds_on_one_of_an_unheard_node_brings_it_along(fleet, key):
    """Without any round: n3 cannot take n2's write in before n1's, which n2 had seen; so it asks n2 for both."""
    fleet.cut(["n1"], ["n3", "n4", "n5"])
    fleet["n1"].set(key, "question")
    wait_until(lambda: fleet["n2"].register(key), what="n2 to hear n1")
    fleet["n2"].set(key, "answer")
    for name in ("n3", "n4", "n5"):
        wait_until(lambda name=name: fleet[name].register(key) == ["answer"], what=f"{name} to have the answer")
        assert fleet[name].clock()["n1"] == fleet["n1"].clock()["n1"]


def test_along_a_chain_of_neighbours_everything_reaches_the_end(fleet, key):
    """n1 - n2 - n3 - n4 - n5: each hears only its neighbours, and exchanges once with the one before it."""
    names = list(fleet.nodes)
    for position, name in enumerate(names):
        fleet[name].partition(*(peer for other, peer in enumerate(names) if abs(other - position) > 1))
    for number, node in enumerate(fleet.nodes.values()):
        node.increment(key, 10**number)
    for previous, name in pairwise(names):
        assert list(fleet[name].sync(previous).peers_contacted) == [previous]
    assert fleet["n5"].counter(key) == 11111


def test_links_are_shown_and_an_unknown_peer_is_refused_whole(fleet):
    assert fleet["n1"].partition("n2") == {"n2": PAUSED, "n3": OPEN, "n4": OPEN, "n5": OPEN}
    assert fleet.redis().hget(fleet["n1"].keys.links, "n2") == PAUSED.encode()
    for call in (fleet["n1"].partition, fleet["n1"].heal):
        with pytest.raises(grpc.RpcError) as refused:
            call("n3", "n9")
        assert code_of(refused.value) is grpc.StatusCode.NOT_FOUND
    assert fleet["n1"].status().links == {"n2": PAUSED, "n3": OPEN, "n4": OPEN, "n5": OPEN}
    assert set(fleet["n1"].partition().values()) == {PAUSED}
    assert set(fleet["n1"].heal().values()) == {OPEN}


def test_no_word_but_paused_pauses_a_link(fleet, key):
    for state in ("PAUSED", "closed", ""):
        fleet.set_link("n1", "n2", state)
        assert fleet["n1"].status().links["n2"] == OPEN
    fleet["n2"].increment(key)
    wait_until(lambda: fleet["n1"].counter(key) == 1, what="n1 to hear n2")


def test_fractions_add_up_that_nodes_add_after_they_have_started_without_each_other(tmp_path):
    """Each took the other for a node of 0.1.0, as it had not heard it yet, and wrote its sum whole: one was lost."""
    with Fleet(tmp_path, nodes=2) as fleet:
        n1, n2 = fleet["n1"], fleet["n2"]
        fleet.hear()
        with Redis(port=n1.resp_port) as client:
            client.set("sum", "10.5")
        fleet.agree()
        fleet.cut(["n1"], ["n2"])
        for node in (n1, n2):
            node.stop()
        for node, amount in ((n1, 0.5), (n2, 0.25)):
            node.start().wait_until_serving()
            with Redis(port=node.resp_port) as client:
                client.incrbyfloat("sum", amount)
            node.stop()
        for node in (n1, n2):
            node.start().wait_until_serving()
        fleet.heal()
        fleet.agree()
        for node in (n1, n2):
            with Redis(port=node.resp_port) as client:
                assert client.get("sum") == b"11.25"

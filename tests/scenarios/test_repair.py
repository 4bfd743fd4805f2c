"""Messages are lost, cut short, forged, repeated: what can be repaired is, exactly, and what makes no sense set aside.

n1 is the consumer that misses something, n2 the owner of the log that something happens to.
"""

from __future__ import annotations

import grpc
import orjson
import pytest

from crdt_core.codec.messages import Ask, Compact
from crdt_core.lattice.clocks import VersionVector
from tests.fleet import code_of
from tests.support import wait_until
from workers.wire.keys import DELTA_FIELD, GROUP

OTHERS = ["n2", "n3", "n4", "n5"]
WRITES = 8


def write_at_n2(fleet, key):
    """Several commits of n2 while n1 listens to nobody; their counters."""
    fleet["n2"].add(f"{key} set", "gone", "kept")
    fleet.agree()
    fleet["n1"].partition()
    before = fleet["n2"].clock().get("n2", 0)
    for number in range(WRITES - 2):
        fleet["n2"].increment(f"{key} counter", 10**number)
    fleet["n2"].remove(f"{key} set", "gone")
    fleet["n2"].set(f"{key} register", "last")
    fleet.agree(*OTHERS)
    return list(range(before + 1, before + WRITES + 1))


def check_everywhere(fleet, key):
    """Exactly what was written is everywhere, and nothing twice."""
    fleet.agree()
    assert fleet.everywhere("counter", f"{key} counter") == [int("1" * (WRITES - 2))] * 5
    assert fleet.everywhere("elements", f"{key} set") == [["kept"]] * 5
    assert fleet.everywhere("register", f"{key} register") == [["last"]] * 5


def log_of(fleet, name="n2"):
    return fleet[name].keys.log


def set_aside(fleet, name, entry):
    """The item in the quarantine of node `name` that speaks of `entry`, once it is there: the only one."""

    def items():
        return [item for item in fleet.quarantined(name) if item["entry"] == entry]

    (item,) = wait_until(items, what=f"{name} to set {entry} aside")
    return item


# Lost entries -----------------------------------------------------------------------------------------------------


def the_first(fleet, counters):
    fleet.redis().xdel(log_of(fleet), f"{counters[0]}-0")


def some_in_the_middle(fleet, counters):
    fleet.redis().xdel(log_of(fleet), *(f"{counter}-0" for counter in counters[2:4]))


def all_but_the_last_two(fleet, counters):
    fleet.redis().xtrim(log_of(fleet), maxlen=2, approximate=False)


@pytest.mark.parametrize("lose", [the_first, some_in_the_middle, all_but_the_last_two])
def test_a_gap_in_a_log_is_noticed_and_filled_at_once(fleet, key, lose):
    counters = write_at_n2(fleet, key)
    lose(fleet, counters)
    repairs = fleet["n1"].metrics()["repairs"]
    fleet["n1"].heal()
    check_everywhere(fleet, key)
    assert fleet["n1"].metrics()["repairs"] > repairs


def the_last(fleet, counters):
    fleet.redis().xdel(log_of(fleet), f"{counters[-1]}-0")


def all_entries(fleet, counters):
    fleet.redis().xdel(log_of(fleet), *(f"{counter}-0" for counter in counters))


def the_log_itself(fleet, counters):
    fleet.redis().delete(log_of(fleet))


@pytest.mark.parametrize("lose", [the_last, all_entries, the_log_itself])
def test_what_leaves_no_gap_behind_is_found_by_the_next_round(fleet, key, lose):
    counters = write_at_n2(fleet, key)
    lose(fleet, counters)
    fleet["n1"].heal()
    if lose is the_last:
        wait_until(lambda: fleet["n1"].clock().get("n2") == counters[-2], what="n1 to read what is left")
    assert fleet["n1"].clock().get("n2", 0) < counters[-1]
    report = fleet.round("n1", "n2")
    assert report["peers_contacted"] == ["n2"]
    assert report["new_items"] > 0
    check_everywhere(fleet, key)


def test_what_leaves_no_gap_behind_is_found_by_the_owners_next_write(fleet, key):
    counters = write_at_n2(fleet, key)
    the_log_itself(fleet, counters)
    fleet["n1"].heal()
    fleet["n2"].increment(f"{key} next")
    check_everywhere(fleet, key)
    assert fleet.everywhere("counter", f"{key} next") == [1] * 5


def test_one_round_repairs_all_who_take_part_after_all_logs_are_lost(fleet, key):
    for node in fleet.nodes.values():
        node.partition()
    for number, node in enumerate(fleet.nodes.values()):
        node.increment(key, 10**number)
        node.add(f"{key} set", node.name, "all")
        fleet.redis().delete(node.keys.log)
    fleet.heal()
    report = fleet.round("n4", "n1", "n2", "n3", "n5")
    assert sorted(report["peers_contacted"]) == ["n1", "n2", "n3", "n5"]
    assert fleet.everywhere("counter", key) == [11111] * 5
    assert fleet.everywhere("elements", f"{key} set") == [["all", "n1", "n2", "n3", "n4", "n5"]] * 5


def test_a_node_that_was_away_while_others_deleted_does_not_bring_it_back(fleet, key):
    """n1's patch still holds what the others have removed; its clock tells which removals it has not seen."""
    fleet["n1"].add(key, "a", "b")
    fleet["n1"].increment(f"{key} counter", 5)
    fleet.agree()
    fleet.cut(["n1"], OTHERS)
    assert fleet["n2"].remove(key, "a")
    assert fleet["n3"].delete(f"{key} counter")
    fleet["n1"].add(key, "c")
    fleet.agree(*OTHERS)
    fleet.redis().delete(*(log_of(fleet, name) for name in fleet.nodes))
    fleet.heal()
    assert fleet["n1"].sync().new_items > 0
    assert fleet.everywhere("elements", key) == [["b", "c"]] * 5
    assert fleet.everywhere("counter", f"{key} counter") == [0] * 5


# Patches ----------------------------------------------------------------------------------------------------------


def test_a_patch_may_come_twice_late_and_again(fleet, key):
    fleet.cut(["n1"], OTHERS)
    since = fleet["n1"].clock()
    fleet["n2"].add(key, "a", "b")
    early = fleet["n2"].patch(since)
    fleet["n2"].remove(key, "a")
    late = fleet["n2"].patch(since)
    assert fleet["n1"].merge(early) == 2
    assert fleet["n1"].elements(key) == ["a", "b"]
    assert fleet["n1"].merge(late) == 1
    assert fleet["n1"].merge(early) == fleet["n1"].merge(late) == 0
    assert fleet["n1"].elements(key) == ["b"]


def test_a_patch_that_skips_something_is_refused_and_changes_nothing(fleet, key):
    fleet.cut(["n1"], OTHERS)
    fleet["n2"].increment(key)
    since = fleet["n2"].clock()
    fleet["n2"].increment(key)
    before = fleet.views(["n1"])
    with pytest.raises(grpc.RpcError) as refused:
        fleet["n1"].merge(fleet["n2"].patch(since))
    assert code_of(refused.value) is grpc.StatusCode.FAILED_PRECONDITION
    assert fleet.views(["n1"]) == before


def test_a_patch_cut_short_is_refused_and_changes_nothing(fleet, key):
    fleet.cut(["n1"], OTHERS)
    fleet["n2"].add(key, "a", "b")
    patch = orjson.dumps(fleet["n2"].patch(fleet["n1"].clock()))
    before = fleet.views(["n1"])
    for length in (0, 1, len(patch) // 2, len(patch) - 1):
        entry = fleet.tell("n1", b'{"v":1,"kind":"push","from":"n2","round":"r","patch":' + patch[:length])
        assert "not JSON" in set_aside(fleet, "n1", entry)["reason"]
    assert fleet.views(["n1"]) == before


# Junk in a log ----------------------------------------------------------------------------------------------------


JUNK_IDS = {
    "next in line": lambda counter: f"{counter + 1}-0",
    "between two entries": lambda counter: f"{counter}-7",
    "far ahead": lambda counter: f"{counter + 1000}-3",
    "by time, as XADD key *": lambda _: "*",
    "the last id there is": lambda _: "18446744073709551615-18446744073709551615",
}


@pytest.mark.parametrize("place", JUNK_IDS)
def test_a_foreign_entry_in_a_log_is_set_aside_and_holds_nobody_up(fleet, key, place):
    """An id ahead of the owner also blocks the owner's own next entry: it has to start its log anew."""
    fleet["n2"].increment(key)
    fleet.agree()
    content = {b"who": b"knows", DELTA_FIELD: b"\xff{"}
    entry = fleet.redis().xadd(log_of(fleet), content, id=JUNK_IDS[place](fleet["n2"].clock()["n2"])).decode()
    for name in ("n1", "n3", "n4", "n5"):
        item = set_aside(fleet, name, entry)
        assert (item["source"], item["content"]) == ("log of n2", "\ufffd{")
        assert item["reason"].startswith("malformed delta: not JSON")

    for _ in range(3):
        fleet["n2"].increment(key, 10)
        fleet["n1"].increment(key, 100)
    fleet.agree()  # by itself, without a round
    assert fleet.everywhere("counter", key) == [331] * 5
    assert fleet.own_log("n2")[-1] == f"{fleet['n2'].clock()['n2']}-0"
    if place != "between two entries":
        item = set_aside(fleet, "n2", entry)
        assert (item["source"], item["reason"]) == ("own log", "not written by the owner of the log")
        assert all(DELTA_FIELD in fields and len(fields) == 1 for _, fields in fleet.redis().xrange(log_of(fleet)))
    set_aside(fleet, "n1", entry)  # once, however often it was read


def test_the_write_that_finds_its_place_in_the_log_taken_reaches_everybody_although_nothing_follows(fleet, key):
    """It was committed without its log entry; peers would have waited for the next write, or the next round."""
    fleet["n2"].increment(key)
    fleet.agree()
    fleet.redis().xadd(log_of(fleet), {"junk": "1"})
    fleet["n2"].increment(key)
    fleet.agree()
    assert fleet.everywhere("counter", key) == [2] * 5
    assert fleet.own_log("n2") == [f"{fleet['n2'].clock()['n2']}-0"]


def test_a_foreign_entry_makes_no_storm_while_its_owner_is_silent(fleet, key):
    """Peers cannot get past it until the owner writes. They ask what it should have said, but not all the time."""
    fleet["n2"].increment(key)
    fleet.agree()
    n1 = fleet["n1"]
    repairs = n1.metrics()["repairs"]
    fleet.redis().xadd(log_of(fleet), {"junk": "1"})
    wait_until(lambda: n1.metrics()["repairs"] > repairs, what="a repair")
    turns = n1.metrics()["turns"]
    wait_until(lambda: n1.metrics()["turns"] > turns + 20, what="some looks, each of which is a turn")
    assert n1.metrics()["repairs"] - repairs <= 4
    fleet["n2"].increment(key)
    fleet.agree()
    assert fleet.everywhere("counter", key) == [2] * 5


def truncated(delta, dot):
    return delta[:-9]


def of_another_version(delta, dot):
    return orjson.dumps({**orjson.loads(delta), "v": 2})


def claiming_another_nodes_dot(delta, dot):
    counter = dot.partition(":")[2]
    value = orjson.loads(delta)
    return orjson.dumps({**value, "dot": f"n1:{counter}", "deps": {"n1": int(counter) - 1}})


def claiming_another_place(delta, dot):
    counter = int(dot.partition(":")[2])
    value = orjson.loads(delta)
    return orjson.dumps({**value, "dot": f"n2:{counter + 1}", "deps": {**value["deps"], "n2": counter}})


def with_a_field_too_many(delta, dot):
    return orjson.dumps({**orjson.loads(delta), "also": 1})


def of_an_unknown_type(delta, dot):
    value = orjson.loads(delta)
    value["writes"][0][1] = "blob"
    return orjson.dumps(value)


def with_deps_that_are_no_clock(delta, dot):
    return orjson.dumps({**orjson.loads(delta), "deps": {"n2": -1}})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncated, "malformed delta: not JSON"),
        (of_another_version, "malformed delta: format version 2 is not 1"),
        (claiming_another_nodes_dot, "stands in the log of n2"),
        (claiming_another_place, "stands at entry"),
        (with_a_field_too_many, "malformed delta: fields"),
        (of_an_unknown_type, "malformed type: 'blob'"),
        (with_deps_that_are_no_clock, "malformed clock: n2: -1"),
    ],
)
def test_a_spoiled_entry_is_set_aside_with_its_reason_and_its_writes_come_by_patch(fleet, key, spoil, reason):
    counters = write_at_n2(fleet, key)
    redis, spoiled_at = fleet.redis(), f"{counters[3]}-0"
    entries = redis.xrange(log_of(fleet), f"{counters[0]}-0")
    redis.delete(log_of(fleet))
    for entry, fields in entries:
        delta = fields[DELTA_FIELD]
        if entry.decode() == spoiled_at:
            delta = spoil(delta, f"n2:{counters[3]}")
            content = delta.decode("utf-8", "replace")
        redis.xadd(log_of(fleet), {DELTA_FIELD: delta}, id=entry)
    fleet["n1"].heal()
    check_everywhere(fleet, key)
    item = set_aside(fleet, "n1", spoiled_at)
    assert (item["source"], item["content"]) == ("log of n2", content)
    assert reason in item["reason"]


# Junk in an inbox -------------------------------------------------------------------------------------------------


def push(patch):
    return orjson.dumps({"v": 1, "kind": "push", "from": "n2", "round": "r", "patch": patch})


PATCH = {"v": 1, "origin": "n2", "since": {}, "clock": {"n2": 10**6}, "stable": {}, "hlc": [0, 0], "parts": []}
JUNK_MESSAGES = {
    "no JSON": (b"{", "malformed message: not JSON"),
    "no UTF-8": (b'"\xff"', "malformed message: not JSON"),
    "nothing": (b"", "malformed message: not JSON"),
    "no object": (b"[1]", "is not a kind of message"),
    "no kind of ours": (b'{"v":1,"kind":"gossip"}', "'gossip' is not a kind of message"),
    "another version": (b'{"v":2,"kind":"done","from":"n2","round":"r","new":1}', "format version 2 is not 1"),
    "a field missing": (b'{"v":1,"kind":"done","from":"n2","round":"r"}', "malformed done: fields"),
    "an unknown sender": (b'{"v":1,"kind":"ask","from":"n9","round":"r","clock":{}}', "'n9' is no peer of n1"),
    "itself as sender": (b'{"v":1,"kind":"ask","from":"n1","round":"r","clock":{}}', "'n1' is no peer of n1"),
    "a clock that is none": (b'{"v":1,"kind":"ask","from":"n2","round":"r","clock":{"n2":true}}', "is not a counter"),
    "a patch that is none": (push("all of it"), "is not an object"),
    "a part of three": (push({**PATCH, "parts": [["k", "orset", "a"]]}), "does not have four elements"),
    "a part twice": (push({**PATCH, "parts": [["k", "orset", "a", {"n2:1": True}]] * 2}), "it lists one part twice"),
    "a part without siblings": (push({**PATCH, "parts": [["k", "orset", "a", {}]]}), "is not an object of dots"),
    "a dot that is none": (push({**PATCH, "parts": [["k", "orset", "a", {"n2": True}]]}), "is not replica:counter"),
    "a dot beyond its clock": (
        push({**PATCH, "parts": [["k", "orset", "a", {"n3:1": True}]]}),
        "which its clock {'n2': 1000000} does not cover",
    ),
    "a payload of another type": (push({**PATCH, "parts": [["k", "orset", "a", {"n2:1": 5}]]}), "malformed payload"),
    "commits of its own that it has not made": (push({**PATCH, "clock": {"n1": 10**9}}), "which n1 has not made"),
    "a chunk of a part twice": (
        orjson.dumps(
            {"v": 1, "kind": "chunk", "from": "n2", "round": "r", "transfer": "t-1", "number": 0, "done": 1, "of": 2}
            | {"parts": [["k", "orset", "a", {"n2:1": True}]] * 2}
        ),
        "it lists one part twice",
    ),
    "a frontier ahead of its clock": (push({**PATCH, "stable": {"n3": 1}}), "stable frontier is ahead"),
}


@pytest.mark.parametrize("what", JUNK_MESSAGES)
def test_a_message_that_makes_no_sense_is_set_aside_with_its_reason(fleet, what):
    content, reason = JUNK_MESSAGES[what]
    before = fleet.views(["n1"])
    entry = fleet.tell("n1", content)
    assert fleet.round("n1", "n2")["peers_contacted"] == ["n2"], "the worker goes on"
    item = set_aside(fleet, "n1", entry)
    assert (item["source"], item["content"]) == ("inbox", content.decode("utf-8", "replace"))
    assert reason in item["reason"]
    assert fleet.views(["n1"]) == before


def test_a_message_without_the_field_of_messages_is_set_aside_too(fleet):
    entry = fleet.redis().xadd(fleet["n1"].keys.inbox, {"note": "hello"}).decode()
    assert set_aside(fleet, "n1", entry)["source"] == "inbox"
    assert fleet.round("n1", "n2")["peers_contacted"] == ["n2"]


def test_what_was_taken_in_is_gone_from_the_inbox(fleet):
    fleet.tell("n1", Ask("n2", "none", VersionVector()))
    fleet.round("n1", "n2")
    inbox = fleet["n1"].keys.inbox
    wait_until(lambda: fleet.redis().xlen(inbox) == 0, what="the inbox to be empty")
    assert fleet.redis().xpending(inbox, GROUP)["pending"] == 0


def test_an_inbox_that_is_deleted_is_made_anew(fleet, key):
    """With it goes the consumer group, also under a read that waits for messages."""
    for _ in range(3):
        fleet.redis().delete(fleet["n1"].keys.inbox)
        assert fleet.round("n1", "n2")["peers_contacted"] == ["n2"]


def test_a_round_with_an_unknown_node_leaves_it_out(fleet):
    assert fleet.round("n1", "n2", "n9")["peers_contacted"] == ["n2"]


def test_removals_are_forgotten_everywhere_and_stay_removed(fleet, key):
    """As the compaction job has it: every node is told what all have published. No removal marker is left."""
    fleet["n1"].add(key, "a", "b")
    fleet.agree()
    fleet["n2"].remove(key, "a")
    fleet.agree()
    clocks = {name: VersionVector(node.clock()) for name, node in fleet.nodes.items()}
    for name, node in fleet.nodes.items():
        published = {peer: clock for peer, clock in clocks.items() if peer != name}
        left = node.metrics()["markers"]
        while left:  # one compaction looks at some; other tests may have left many
            fleet.tell(name, Compact(published, (), node.keys.answer("compact")))
            assert fleet.redis().blpop([node.keys.answer("compact")], timeout=10)
            before, left = left, node.metrics()["markers"]
            assert left < before
        assert fleet.redis().hkeys(node.keys.record(b"obj:" + key.encode())) == [b"b"]
    fleet["n3"].add(key, "c")
    fleet.agree()
    assert fleet.everywhere("elements", key) == [["b", "c"]] * 5

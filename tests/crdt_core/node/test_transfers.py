"""Large patches: sent in bounded chunks while the sender goes on, joined by the receiver as one, or not at all.

n1 is the receiver as a rule, n2 the sender. Here messages are lost, doubled and late; in `test_transfer_amid_writes`
the state changes meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from crdt_core.codec.messages import Answer, Ask, Chunk, Chunks, More, Push, Round, decode_message, encode_message
from crdt_core.codec.patches import encode_patch
from crdt_core.lattice.clocks import Dot, VersionVector
from crdt_core.lattice.deltas import Patch, PatchPart
from crdt_core.node.events import MessagesRead, SendFailed
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from tests.crdt_core.net import CHUNK_BYTES, MANY, NOW, TIMEOUT_MS, Flying, Net, filled, member, parts_of, under_way
from tests.invocations import command

if TYPE_CHECKING:
    from crdt_core.codec.messages import Message


def count_messages() -> int:
    net = under_way(filled("n1", "n2"), 0)
    net.run()
    return len(net.sent)


MESSAGES = count_messages()


# What is sent ---------------------------------------------------------------------------------------------------------


def test_a_large_state_comes_in_messages_no_larger_than_the_bound_one_at_a_time() -> None:
    net = filled("n1", "n2")
    net.ask("n1", "n2")
    while net.flying:
        assert len(net.flying) == 1
        net.step()
    assert net.state("n1") == net.state("n2")
    chunks = [message for message in net.sent if message.kind == "chunk"]
    last = next(message for message in net.sent if message.kind == "answer")
    assert max(len(message.content) for message in net.sent) <= CHUNK_BYTES
    assert min(len(message.content) for message in chunks) > CHUNK_BYTES * 0.8, "they are filled, too"
    assert sum(len(parts_of(message)) for message in [*chunks, last]) == MANY
    assert net.result().contacted == ("n2",)
    assert net.result().new_items == MANY


def test_a_small_patch_is_one_message_as_it_always_was() -> None:
    net = filled("n1", "n2", count=20)
    net.ask("n1", "n2")
    net.run()
    assert [message.kind for message in net.sent] == ["ask", "answer"]
    assert orjson.loads(net.sent[1].content).keys() == {"v", "kind", "from", "round", "patch"}
    one_shot = net["n2"].replica.patch(None, net["n2"].hlc.last)
    assert orjson.dumps(orjson.loads(net.sent[1].content)["patch"]) == encode_patch(one_shot)


def test_a_part_larger_than_the_bound_travels_alone() -> None:
    net = Net("n1", "n2")
    large = [bytes([letter]) * 3 * CHUNK_BYTES for letter in b"abc"]
    for number, value in enumerate(large):
        net.call(
            "n2",
            command("DELTAIC.REGISTER.SET", b"register %d" % number, value),
            command("SADD", b"set %d" % number, b"x"),
        )
    net.ask("n1", "n2")
    net.run()
    assert net.state("n1") == net.state("n2")
    over = [message for message in net.sent if len(message.content) > CHUNK_BYTES]
    assert len(over) == len(large)
    assert [len(parts_of(message)) for message in over] == [1] * len(large)
    room = [len(message.content) - len(orjson.dumps(parts_of(message)[0])) for message in over]
    assert max(room) < CHUNK_BYTES


def test_what_the_asker_lacks_of_a_push_comes_in_chunks_too() -> None:
    net = filled("n1", "n2")
    net.ask("n2", "n1")
    net.run()
    assert net.state("n1") == net.state("n2")
    assert {"chunk", "more", "push", "done"} <= {message.kind for message in net.sent}
    assert net.result().new_items == MANY
    assert max(len(message.content) for message in net.sent) <= CHUNK_BYTES


def test_a_turn_looks_at_a_bounded_number_of_parts_and_tells_how_far_it_is() -> None:
    """n2 was restarted and knows no more which part was written when: it has to look at all, to find one."""
    net = filled("n1", "n2")
    net.pass_on("n1")
    net.call("n2", command("SADD", b"set", b"new"))
    net.nodes["n2"] = restored_without_index(net)
    net.ask("n1", "n2")
    progress: dict[tuple[int, int], None] = {}
    while net.flying:
        net.step()
        progress.update(((found.done, found.of), None) for found in net["n1"].arriving)
    assert net.state("n1") == net.state("n2")
    assert len(progress) == 10
    assert list(progress) == sorted(progress)
    assert {of for _, of in progress} == {MANY + 1}
    assert max(len(message.content) for message in net.sent) < 500


def restored_without_index(net: Net) -> Node:
    replica, before = Replica("n2", founders=net.names), net["n2"].replica
    replica.restore(before.clock, before.stable, before.digest, list(before.catalogue.heads.values()))
    replica.catalogue.replica_index = before.catalogue.replica_index
    options = NodeOptions(exchange_timeout_ms=TIMEOUT_MS, chunk_bytes=CHUNK_BYTES, looks_per_chunk=100)
    return Node("n2", replica, "first", options=options)


def test_the_receiver_can_tell_how_far_it_is() -> None:
    net = filled("n1", "n2")
    assert net["n1"].arriving == ()
    under_way(net, 12)
    (found,) = net["n1"].arriving
    chunks = [message for message in net.sent if message.kind == "chunk"]
    assert (found.peer, found.chunks) == ("n2", 6)
    assert found.bytes == sum(len(message.content) for message in chunks[:6])
    assert 0 < found.done < found.of == MANY
    net.run()
    assert net["n1"].arriving == ()


# Messages that are lost, doubled, late --------------------------------------------------------------------------------


@pytest.mark.parametrize("delivered", range(MESSAGES))
def test_a_transfer_that_is_cut_claims_nothing_and_the_next_round_brings_all(delivered: int) -> None:
    net = under_way(filled("n1", "n2"), delivered)
    net.flying.clear()
    assert net.state("n1") == ({}, 0)
    assert net.members("n1", b"set") == set()
    net.wait(TIMEOUT_MS)
    assert net.result().failed == ("n2",)
    assert net["n1"].arriving == ()
    assert sum(net[name].counts["transfers_expired"] for name in net.names) <= 2
    net.ask("n1", "n2")
    net.run()
    assert net.state("n1") == net.state("n2")
    assert net.result().contacted == ("n2",)


@pytest.mark.parametrize("doubled", range(MESSAGES))
def test_a_message_that_comes_twice_at_once_and_again_at_the_end_does_no_harm(doubled: int) -> None:
    net = under_way(filled("n1", "n2"), doubled)
    message = net.flying[0]
    net.flying.insert(0, message)
    net.run()
    assert net.state("n1") == net.state("n2")
    net.deliver(message)
    net.run()
    net.wait(TIMEOUT_MS)
    assert net.state("n1") == net.state("n2")
    assert net["n1"].arriving == ()
    assert net.quarantined == []


@pytest.mark.parametrize("held", range(MESSAGES))
def test_a_message_that_is_held_back_stops_the_transfer_until_it_comes(held: int) -> None:
    net = under_way(filled("n1", "n2"), held)
    late = net.flying.pop(0)
    net.run()
    assert net.state("n1") == ({}, 0)
    net.deliver(late)
    net.run()
    assert net.state("n1") == net.state("n2")


def test_the_last_message_without_its_chunks_is_not_joined() -> None:
    net = filled("n1", "n2")
    net.ask("n1", "n2")
    while net.flying[0].kind != "answer":
        net.step()
    fresh = Net("n1", "n2")
    fresh.deliver(net.flying[0])
    assert fresh.state("n1") == ({}, 0)
    assert fresh["n1"].counts["patches_incomplete"] == 1
    for message in net.sent:
        if message.kind == "chunk" and orjson.loads(message.content)["number"] != 3:
            fresh.deliver(message)
    fresh.deliver(net.flying[0])
    assert fresh.state("n1") == ({}, 0)


def test_chunks_of_another_attempt_are_not_mixed_in() -> None:
    """The same round and numbers, but another walk: together they would lack what lies between."""
    net = filled("n1", "n2")
    net.ask("n1", "n2")
    ask = net.flying[0]
    while net.flying[0].kind != "answer":
        net.step()
    last = net.flying.pop(0)
    net.restart("n2")
    net.deliver(ask)
    (again,) = net.flying
    assert again.kind == "chunk"
    net.step()
    assert net["n1"].arriving[0].chunks == 1
    net.deliver(last)
    assert net.state("n1") == ({}, 0)
    net.run()
    assert net.state("n1") == net.state("n2")


@pytest.mark.parametrize("delivered", range(1, MESSAGES - 1))
def test_a_sender_that_was_restarted_starts_anew_when_it_is_asked_for_more(delivered: int) -> None:
    net = under_way(filled("n1", "n2"), delivered)
    net.restart("n2")
    net.run()
    assert net.state("n1") == net.state("n2")
    assert net.result().contacted == ("n2",)


def test_a_receiver_that_was_restarted_forgets_it_and_asks_anew() -> None:
    net = under_way(filled("n1", "n2"), 9)
    net.restart("n1")
    net.run()
    assert net.state("n1") == ({}, 0)
    net.ask("n1", "n2")
    net.run()
    assert net.state("n1") == net.state("n2")


# Time -----------------------------------------------------------------------------------------------------------------


def test_a_transfer_may_take_as_long_as_it_moves() -> None:
    net = under_way(filled("n1", "n2"), 0)
    while net.flying:
        net.step()
        net.wait(TIMEOUT_MS // 2 - 1)  # either side waits for two of them
    assert net.state("n1") == net.state("n2")
    assert net.now_ms > 10 * TIMEOUT_MS
    assert net.result().contacted == ("n2",)


def test_a_push_may_take_as_long_as_it_moves() -> None:
    net = filled("n1", "n2")
    net.ask("n2", "n1")
    while net.flying:
        net.step()
        net.wait(TIMEOUT_MS // 2 - 1)  # either side waits for two of them
    assert net.state("n1") == net.state("n2")
    assert net.result().contacted == ("n1",)


def test_a_job_is_told_in_time_that_its_round_is_still_under_way() -> None:
    net = filled("n1", "n2")
    net.turn("n1", MessagesRead([("1-0", encode_message(Round("r", ("n2",), "answer")))]))
    for _ in range(10):
        net.step()
        net.wait(TIMEOUT_MS // 4)
    (answer,) = net.answers
    assert answer.result["peers_under_way"] == ["n2"]
    assert answer.result["peers_failed"] == answer.result["peers_contacted"] == []
    net.run()
    assert net.state("n1") == net.state("n2")
    assert len(net.answers) == 1


def test_no_second_exchange_begins_by_itself_while_one_is_under_way() -> None:
    net = under_way(filled("n1", "n2"), 9)
    net.turn("n1", MessagesRead([("1-0", encode_message(Round("r", ("n2",), "answer")))]))
    (answer,) = net.answers
    assert answer.result["messages_sent"] == 0


def test_whoever_asks_and_vanishes_is_forgotten() -> None:
    net = filled("n1", "n2")
    for number in range(20):
        net.turn("n2", MessagesRead([("1-0", encode_message(Ask("n1", f"round {number}", VersionVector())))]))
    assert len(net.flying) == 4, "a peer gets so many large patches at a time"
    net.flying.clear()
    net.wait(TIMEOUT_MS)
    assert net["n2"].counts["transfers_expired"] == 4
    for number in range(20):
        chunk = Chunk("n2", f"round {number}", "t-1", 0, 1, 2, ())
        net.turn("n1", MessagesRead([("1-0", encode_message(chunk))]))
    assert len(net["n1"].arriving) == 4
    net.wait(TIMEOUT_MS)
    assert net["n1"].arriving == ()


# Several at once ------------------------------------------------------------------------------------------------------


def test_a_receiver_in_two_transfers_joins_each_when_it_is_whole() -> None:
    net = filled("n1", "n2", "n3")
    net.call("n3", *(command("SADD", b"set", member(number)) for number in range(MANY // 2, 2 * MANY)))
    net.ask("n1")
    seen = set()
    while net.flying:
        seen.add(tuple(found.peer for found in net["n1"].arriving))
        net.step()
    assert {("n2", "n3"), ("n3",)} <= seen
    assert net.state("n1") == net.state("n2") == net.state("n3")
    assert net.members("n1", b"set") == {member(number) for number in range(2 * MANY)}
    assert sorted(net.result().contacted) == ["n2", "n3"]
    assert max(len(message.content) for message in net.sent) <= CHUNK_BYTES


def test_a_peer_that_cannot_be_reached_any_more_ends_its_transfer_only() -> None:
    net = filled("n1", "n2", "n3")
    net.call("n3", *(command("SADD", b"other", member(number)) for number in range(MANY)))
    net.ask("n1")
    for _ in range(8):
        net.step()
    more = next(message for message in map(decode, net.sent) if isinstance(message, More))
    net.turn("n1", SendFailed("n2", more.round))
    assert [found.peer for found in net["n1"].arriving] == ["n3"]
    net.run()
    assert (net.result().contacted, net.result().failed) == (("n3",), ("n2",))


def decode(message: Flying) -> Message:
    return decode_message(message.content)


# Claims ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [Answer, Push])
def test_a_message_that_claims_commits_of_this_node_that_it_never_made_is_set_aside(form: type[Answer | Push]) -> None:
    """It stopped the worker once, and again at every restart, as it was never acknowledged."""
    net = Net("n1", "n2")
    net.call("n1", command("SADD", b"set", b"a"))
    before = net.state("n1")
    patch = Patch("n2", VersionVector(), VersionVector(n1=5, n2=1), VersionVector(), NOW, ())
    net.turn("n1", MessagesRead([("1-0", encode_message(form("n2", "r", patch)))]))
    assert net.state("n1") == before
    assert net["n1"].counts["claims_refused"] == 1
    (reason,) = net.quarantined
    assert "covers n1:5, which n1 has not made" in reason
    assert net.flying == []


def test_a_chunk_that_carries_what_the_last_message_does_not_claim_spoils_the_transfer_and_nothing_else() -> None:
    net = Net("n1", "n2")
    parts = (PatchPart(b"set", "orset", b"a", {Dot("n3", 9): True}),)
    patch = Patch("n2", VersionVector(), VersionVector(n2=1), VersionVector(), NOW, ())
    for message in (Chunk("n2", "r", "t-1", 0, 1, 2, parts), Answer("n2", "r", patch, Chunks("t-1", 1))):
        net.turn("n1", MessagesRead([("1-0", encode_message(message))]))
    assert net.state("n1") == ({}, 0)
    assert net["n1"].arriving == ()
    (reason,) = net.quarantined
    assert "it carries n3:9, which its clock {'n2': 1} does not cover" in reason


def test_that_there_is_nothing_of_an_object_does_not_make_one() -> None:
    replica = Replica("n1")
    parts = (PatchPart(b"set", "orset", b"a", {}), PatchPart(b"set", "orset", None, {}))
    assert replica.join(Patch("n2", VersionVector(), VersionVector(n2=1), VersionVector(), NOW, parts)) == 0
    assert not replica.catalogue.heads
    assert not replica.take_changes()

"""Large patches of a state that changes while it is sent: what is joined is the state at the clock that it claims."""

from __future__ import annotations

import random
from itertools import count
from typing import TYPE_CHECKING

import pytest

from crdt_core.codec.messages import Answer, Compact, decode_message, encode_message
from crdt_core.codec.patches import encode_patch
from crdt_core.membership.changes import AddMember, RemoveMember
from crdt_core.membership.decisions import Sponsor
from crdt_core.node.events import MessagesRead
from crdt_core.node.node import Node
from crdt_core.replica.patch_walk import LOOKS_PER_LISTING, PatchWalk
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from tests.crdt_core.costs import counted_calls
from tests.crdt_core.net import CHUNK_BYTES, MANY, NOW, TIMEOUT_MS, Net, filled, member, parts_of, under_way
from tests.invocations import command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crdt_core.lattice.deltas import Address, Patch, PatchPart
    from crdt_core.node.events import Operation


def changes(seed: int) -> Iterator[Operation]:
    """Random operations on what is there, and on what is not."""
    chance = random.Random(seed)
    while True:
        key, number = chance.choice([b"set", b"set", b"set", b"other", b"counter", b"register"]), chance.randrange(MANY)
        make = chance.choice([_add_new, _remove, _adjust, _set])
        yield command("DEL", key) if chance.random() < 0.04 else make(key, member(number))


def _add_new(key: bytes, element: bytes) -> Operation:
    return command("SADD", key, b"new " + element)


def _remove(key: bytes, element: bytes) -> Operation:
    return command("SREM", key, element)


def _set(key: bytes, element: bytes) -> Operation:
    return command("DELTAIC.REGISTER.SET", key, element)


def _adjust(key: bytes, element: bytes) -> Operation:
    return command("DELTAIC.COUNTER.ADD", key, len(element))


def replica_with(keys: int) -> Replica:
    """A replica at rest that has one member under each of `keys` keys."""
    replica = Replica("n1")
    for key in map(member, range(keys)):
        replica.write(key, ORSET, b"first", True)
    replica.commit(NOW)
    replica.take_changes()
    return replica


def remove_for_good(replica: Replica, keys: int) -> None:
    """Remove the first `keys` members, and forget their tombstones: their keys go with the next `take_changes`."""
    for key in map(member, range(keys)):
        replica.delete(key)
    replica.commit(NOW)
    replica.take_changes()
    replica.stabilise(replica.clock, 1000)


def rest_of(walk: PatchWalk) -> list[PatchPart]:
    """All parts that `walk` still gives."""
    parts: list[PatchPart] = []
    while not walk.ended:
        parts += walk.take(1 << 20, 60)
    return parts


class Busy:
    """A net whose n2 and n3 write all the time; n2 hears n3, and forgets what everybody has.

    n1 is `behind`; or it is `empty`, and holds up what is forgotten; or it is `new`, and does not.
    """

    def __init__(self, seed: int, n1: str) -> None:
        self.net = filled("n1", "n2", "n3", count=MANY // 2)
        self._chance = random.Random(seed)
        self._operations = changes(seed)
        self._heard = dict.fromkeys(self.net.names, 0)
        self._tails = ("n1", "n2", "n3") if n1 == "behind" else ("n2", "n3")
        self._counted = n1 != "new"
        for name in self._tails:
            self._hear(name)
        self.net.call("n2", *(command("SADD", b"set", member(number)) for number in range(MANY // 4, MANY)))

    def change(self) -> None:
        self.net.call("n2", *(next(self._operations) for _ in range(3)))
        self.net.call("n3", next(self._operations))
        self._hear("n2")
        self._hear(self._chance.choice(self._tails))
        if self._chance.random() < 0.3:
            clocks = {name: self.net[name].replica.clock.copy() for name in ("n1", "n3")}
            if not self._counted:
                clocks["n1"] = clocks["n3"]
            self.net.turn("n2", MessagesRead([("1-0", encode_message(Compact(clocks, (), "answer")))]))

    def hear_all(self) -> None:
        for name in self.net.names:
            self._hear(name)

    def _hear(self, name: str) -> None:
        self.net.pass_on(name, self._heard[name])
        self._heard[name] = len(self.net.deltas)


@pytest.mark.parametrize("receiver", ["behind", "empty", "new"])
@pytest.mark.parametrize("seed", range(12))
def test_what_is_joined_is_exactly_the_state_at_the_clock_that_it_claims(seed: int, receiver: str) -> None:
    """n1 is compared with a replica that gets the state as it was at that clock in one piece."""
    busy = Busy(seed, receiver)
    net = busy.net
    n1, n2 = net["n1"].replica, net["n2"].replica
    net.ask("n1", "n2")
    at_clock: dict[tuple[tuple[str, int], ...], Patch] = {}
    while (message := net.flying.pop(0)).kind != "answer":
        at_clock[tuple(sorted(n2.clock.items()))] = n2.patch(None, NOW)
        net.deliver(message)
        busy.change()
    assert net["n2"].counts["chunks_sent"] > 5
    answer = decode_message(message.content)
    assert isinstance(answer, Answer)
    reference = Replica("reference")
    reference.join(n1.patch(None, NOW))
    reference.join(at_clock[tuple(sorted(answer.patch.clock.items()))])
    reference.take_changes()
    net.deliver(message)
    assert (n1.clock, n1.digest) == (reference.clock, reference.digest)
    assert net["n1"].counts["patches_joined"] == 1
    assert max(len(sent.content) for sent in net.sent) <= CHUNK_BYTES

    net.flying.clear()
    busy.hear_all()
    assert net.state("n1") == net.state("n2") == net.state("n3")


def test_a_walk_lists_all_that_changed_meanwhile_in_steps_and_as_it_was_at_the_clock_of_the_patch() -> None:
    """The whole list was made in one turn once: a second for 200 000 keys that had changed during the walk."""
    replica, looks = replica_with(200), 10
    states: dict[tuple[tuple[str, int], ...], Patch] = {}
    found: dict[Address, PatchPart] = {}
    walk = PatchWalk(replica, None)
    for number in count():
        replica.take_changes()
        states[tuple(replica.clock.items())] = replica.patch(None, NOW)
        parts, calls = counted_calls(lambda: walk.take(1 << 20, looks))
        assert calls <= 30 * looks
        found |= {part[:3]: part for part in parts}
        if walk.ended:
            break
        for key in map(member, range(200)):
            replica.clear(key, ORSET) if number % 3 else replica.write(key, ORSET, b"%d" % number, True)
        replica.commit(NOW)
    patch = walk.patch(found.values(), NOW)
    walked, reference = Replica("observer"), Replica("observer")
    walked.join(patch)
    reference.join(states[tuple(patch.clock.items())])
    assert patch.clock != replica.clock, "it changed after the walk had seen all parts"
    assert encode_patch(walked.patch(None, NOW)) == encode_patch(reference.patch(None, NOW))
    assert not replica.catalogue.is_watched


def test_what_is_cleared_after_it_was_sent_is_gone_at_the_receiver() -> None:
    net = under_way(filled("n1", "n2"), 10)
    net.call("n2", command("DEL", b"set"))
    net.call("n2", command("SADD", b"set", b"new"), command("DELTAIC.COUNTER.ADD", b"set 2", 1))
    net.run()
    assert net.members("n1", b"set") == {b"new"}
    assert net.state("n1") == net.state("n2")
    assert max(len(message.content) for message in net.sent) <= CHUNK_BYTES


def test_a_part_that_was_left_for_the_next_message_and_changes_meanwhile_is_listed_once() -> None:
    """The clear lets the rest of the walk, and what has changed, come into one message, a part twice once."""
    net = filled("n1", "n2", count=60)
    under_way(net, 2)
    kept = len(parts_of(net.sent[1]))
    net.call("n2", command("DEL", b"set"))
    net.call("n2", command("SADD", b"set", member(kept)))
    net.run()
    assert net.quarantined == []
    assert net.members("n1", b"set") == {member(kept)}
    assert net.state("n1") == net.state("n2")


def test_what_is_cleared_meanwhile_is_gone_wherever_the_receiver_passes_it_on() -> None:
    """n3 hears of it from n1 alone, and holds what was cleared: n1 must know the clear, not just have nothing left."""
    net = filled("n1", "n2", "n3")
    net.pass_on("n1")
    net.pass_on("n3")
    net.call("n2", *(command("SADD", b"more", member(number)) for number in range(MANY)))
    under_way(net, 10)
    net.call("n2", command("DEL", b"set"))
    net.run()
    assert net.state("n1") == net.state("n2")
    net.ask("n3", "n1")
    net.run()
    assert net.members("n3", b"set") == set()
    assert net.state("n3") == net.state("n2")


def test_a_removal_that_is_forgotten_meanwhile_is_not_lost() -> None:
    """n1 hears of the removal by itself, so everybody has it, and n2 forgets it in the middle of what it lists."""
    net = filled("n1", "n2")
    net.pass_on("n1")
    net.call("n2", command("SREM", b"set", member(0)), *(command("SADD", b"more", member(n)) for n in range(MANY)))
    under_way(net, 10)
    net.pass_on("n1")
    net.turn("n2", MessagesRead([("1-0", encode_message(Compact({"n1": net["n1"].replica.clock}, (), "answer")))]))
    assert not net["n2"].replica.catalogue.tombstones
    net.run()
    assert net.state("n1") == net.state("n2")
    assert not net["n1"].replica.catalogue.tombstones, "it has been told that it may forget the removal, too"


def test_a_replica_that_is_no_member_gets_the_full_state_when_the_frontier_has_passed_it() -> None:
    """n4 is to come back: its clock does not hold back yet what n2 forgets. So it is refused, and asks anew."""
    net = filled("n1", "n2")
    net.call("n2", AddMember("n4", "", "", "a1"))
    net.call("n2", RemoveMember("n4"))
    net.pass_on("n1")
    stranger = Net("n4", "n2")
    stranger.nodes["n2"] = Node("n2", net["n2"].replica, "s", options=stranger.options)
    stranger.nodes["n4"] = Node("n4", Replica("n4-a1.2"), "s", sponsor=Sponsor("n2", "n2"), options=stranger.options)
    stranger.ask("n4", "n2")
    stranger.run()
    net.call("n2", *(command("SADD", b"more", member(number)) for number in range(MANY)))
    stranger.ask("n4", "n2")
    for _ in range(10):
        stranger.step()
    net.call("n2", command("SREM", b"set", member(0)))
    net.pass_on("n1")
    net.pass_on("n2")
    net.turn("n2", MessagesRead([("1-0", encode_message(Compact({"n1": net["n1"].replica.clock}, (), "answer")))]))
    before = stranger.state("n4")
    stranger.run()
    assert stranger.state("n4") == before
    assert stranger["n4"].counts["patches_refused"] == 1
    stranger.wait(TIMEOUT_MS)
    stranger.ask("n4", "n2")
    stranger.run()
    assert stranger.state("n4") == net.state("n2")
    assert member(0) not in stranger.members("n4", b"set")


def test_small_parts_fill_a_message_only_as_far_as_a_turn_may_take() -> None:
    """A megabyte of them took 17 000 listings in one turn, 200 ms."""
    walk = PatchWalk(replica_with(100), None)
    assert len(walk.take(1 << 20, 10 * LOOKS_PER_LISTING)) == 10


def test_the_beginning_of_a_walk_over_many_keys_is_no_longer_than_any_other_piece() -> None:
    """To note a million keys took 0.1 s, and a search for cycles as much, while the node answered nobody."""
    walk = PatchWalk(replica_with(5000), None)
    pieces = []
    while not walk.ended:
        before = walk.done
        _, calls = counted_calls(lambda: walk.take(1 << 20, 60))
        pieces.append((walk.done - before, calls))
    assert {looks for looks, _ in pieces[:-1]} == {60 // LOOKS_PER_LISTING}
    assert pieces[0][1] <= 1.1 * max(calls for _, calls in pieces[1:])


def test_what_changes_during_a_walk_is_listed_once_more() -> None:
    replica = replica_with(500)
    walk = PatchWalk(replica, None)
    first = walk.take(1 << 20, 40)
    replica.delete(member(7))
    replica.delete(first[0].key)
    replica.write(b"new", ORSET, b"x", True)
    replica.commit(NOW)
    replica.take_changes()
    listed = {part[:3]: part.siblings for part in (*first, *rest_of(walk))}
    held = {part[:3]: part.siblings for part in replica.patch(None, NOW).parts}
    assert {address: siblings for address, siblings in listed.items() if siblings} == held
    assert (b"new", "orset", b"x") in held


def test_a_key_that_had_nothing_left_may_go_during_a_walk() -> None:
    """Found by the simulator (seed 1300582): its worker ended, because the dict of all keys had become smaller."""
    replica = replica_with(500)
    remove_for_good(replica, 1)
    walk = PatchWalk(replica, None)
    first = walk.take(1 << 20, 40)
    replica.take_changes()
    assert len(replica.catalogue.heads) == 499
    assert len({part.key for part in (*first, *rest_of(walk))}) == 499


def test_as_many_keys_may_come_as_go_during_a_walk() -> None:
    """The dict of all keys is as large as before then, but its entries have moved: the walk would leave some out."""
    replica = replica_with(500)
    remove_for_good(replica, 200)
    walk = PatchWalk(replica, None)
    first = walk.take(1 << 20, 40)
    replica.take_changes()
    for key in map(member, range(500, 700)):
        replica.write(key, ORSET, b"x", True)
    replica.commit(NOW)
    replica.take_changes()
    assert len(replica.catalogue.heads) == 500
    assert {part.key for part in (*first, *rest_of(walk))} == set(map(member, range(200, 700)))


def test_keys_that_come_and_hold_nothing_move_no_other_key_out_of_a_walk() -> None:
    """Found by the simulator (seed 1700716): a full state lacked a member, and its receiver removed it.

    Such keys come and go without being recorded. The dict of all keys makes room meanwhile, and moves its entries.
    """
    replica = replica_with(200)
    remove_for_good(replica, 40)
    replica.take_changes()
    walk = PatchWalk(replica, None)
    first = walk.take(1 << 20, 20)
    for key in map(member, range(500, 1000)):
        replica.catalogue.ensure(key, ORSET)
        replica.take_changes()
    assert {part.key for part in (*first, *rest_of(walk))} == set(map(member, range(40, 200)))


def test_a_walk_over_recent_changes_counts_each_part_once_and_begins_at_once() -> None:
    """To list 200 000 recent changes before the first part took 70 ms."""
    replica = replica_with(500)
    since, begun = replica.clock.copy(), []
    for round_ in range(3):
        for key in map(member, range(400)):
            replica.write(key, ORSET, b"again %d" % (round_ == 2), True)
            replica.commit(NOW)
        replica.take_changes()
        walk, calls = counted_calls(lambda: PatchWalk(replica, since))
        begun.append(calls)
        while not walk.ended:
            walk.take(1 << 20, 60)
            assert walk.done <= walk.of
        assert walk.done == walk.of == (800 if round_ == 2 else 400)
    assert begun[0] == begun[1]

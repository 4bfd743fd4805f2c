"""The inbox: every message is acknowledged, nonsense is set aside, and only members are believed."""

from __future__ import annotations

import orjson

from crdt_core.codec.messages import Admit, Answer, Ask, Compact, Done, Round, encode_message
from crdt_core.lattice.clocks import Stamp, VersionVector
from crdt_core.lattice.deltas import Patch
from crdt_core.membership.changes import RemoveMember
from crdt_core.membership.decisions import Sponsor
from crdt_core.node.events import JobAnswer, LinksRead, MessagesRead, Send
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from crdt_core.types.members import Standing
from tests.crdt_core.fellows import Fellows

FOUNDERS = ["n1", "n2", "n3"]


def node_of(name: str = "n1", **options: object) -> Node:
    return Node(name, Replica(name, founders=FOUNDERS), "s", options=NodeOptions(**options))  # type: ignore[arg-type]


def read(*contents: bytes | None) -> MessagesRead:
    return MessagesRead([(f"{number}-0", content) for number, content in enumerate(contents, 1)])


def test_every_message_is_acknowledged_whatever_becomes_of_it() -> None:
    node = node_of()
    ask = encode_message(Ask("n2", "r", VersionVector()))
    turn = node.turn([read(b"junk", None, ask)], 1, 0)
    assert turn.commit.acknowledged == ["1-0", "2-0", "3-0"]
    assert [(item.source, item.entry, item.content) for item in turn.commit.quarantined] == [("inbox", "1-0", b"junk")]
    assert [effect.peer for effect in turn.effects if isinstance(effect, Send)] == ["n2"]
    assert node.counts["quarantined"] == 1


def test_a_stranger_is_set_aside_and_a_paused_peer_is_not_heard() -> None:
    node = node_of()
    turn = node.turn([read(encode_message(Ask("n9", "r", VersionVector())))], 1, 0)
    assert "sender 'n9' is no peer of n1" in turn.commit.quarantined[0].reason
    turn = node.turn([LinksRead(frozenset({"n2"})), read(encode_message(Ask("n2", "r", VersionVector())))], 1, 0)
    assert turn.commit.quarantined == []
    assert turn.effects == []
    assert node.counts["messages_dropped"] == 1


def test_a_node_that_is_no_member_yet_drops_what_it_cannot_judge() -> None:
    newcomer = Node("n4", Replica("n4", founders=FOUNDERS), "s", sponsor=Sponsor("n1", "n1"))
    turn = newcomer.turn([read(encode_message(Ask("n9", "r", VersionVector())))], 1, 0)
    assert turn.commit.quarantined == []
    assert newcomer.counts["messages_dropped"] == 1


def test_whoever_once_took_part_may_ask_and_is_not_believed() -> None:
    fleet = Fellows(FOUNDERS)
    fleet.do("n1", RemoveMember("n3"))
    node = fleet.nodes["n1"]
    patch = Patch("n3", VersionVector(), VersionVector(n3=1), VersionVector(), Stamp(1, 0), ())
    turn = node.turn(
        [read(encode_message(Ask("n3", "r", VersionVector())), encode_message(Answer("n3", "r", patch)))], 1, 0
    )
    assert [effect.peer for effect in turn.effects if isinstance(effect, Send)] == ["n3"]
    assert node.counts["messages_dropped"] == 1
    assert node.replica.clock["n3"] == 0


def test_a_member_that_speaks_under_an_id_it_no_longer_has_is_not_believed() -> None:
    fleet = Fellows(FOUNDERS)
    fleet.turn("n1", read(encode_message(Admit("n3", "n3.2", "", ""))))
    node = fleet.nodes["n1"]
    patch = Patch("n3", VersionVector(), VersionVector(n3=1), VersionVector(), Stamp(1, 0), ())
    node.turn([read(encode_message(Answer("n3", "r", patch)))], 1, 0)
    assert node.counts["messages_dropped"] == 1
    assert node.replica.clock["n3"] == 0


def test_a_job_has_the_node_start_a_round_without_those_that_are_busy_or_not_heard() -> None:
    node = node_of()
    node.turn([LinksRead(frozenset({"n3"}))], 1, 0)
    turn = node.turn([read(encode_message(Round("r", ("n2", "n3", "n9"), "first")))], 1, 0)
    assert [effect.peer for effect in turn.effects if isinstance(effect, Send)] == ["n2"]
    turn = node.turn([read(encode_message(Round("r", ("n2",), "second")))], 1, 0)
    (answer,) = turn.effects
    assert isinstance(answer, JobAnswer)
    assert (answer.key, answer.result["messages_sent"]) == ("second", 0)


def test_a_job_reports_clocks_and_whoever_is_away_for_too_long_is_left_behind() -> None:
    node = node_of(fence_after_ms=1000)
    report = encode_message(Compact({"n2": VersionVector()}, ("n3",), "answer"))
    node.turn([read(report)], 1, 0)
    turn = node.turn([read(report)], 1, 1000)
    assert node.replica.members.standing("n3") is Standing.LEAVING
    assert turn.commit.delta is not None
    assert orjson.loads(turn.commit.header["absent"]) == {"n3": 1000}


def test_a_node_that_may_not_go_on_under_its_id_is_written_down_under_another() -> None:
    node = node_of()
    node.turn([read(encode_message(Admit("n2", "n2.2", "host:1", "redis://host")))], 1, 0)
    assert node.replica.members.active["n2"] == "n2.2"
    turn = node.turn([read(encode_message(Admit("n9", "n9.2", "", "")))], 1, 0)
    assert "n9" not in node.replica.members.active
    assert turn.commit.quarantined == [], "it is refused, and nobody waits for the answer"


def test_a_node_that_is_no_member_yet_writes_nobody_down() -> None:
    """It did: an old question was in its inbox. Its id had then written, was in no list of members, and never left.

    (Seed 1104 of the simulator.)
    """
    newcomer = Node("n4", Replica("n4", founders=FOUNDERS), "s", sponsor=Sponsor("n1", "n1"))
    turn = newcomer.turn([read(encode_message(Admit("n2", "n2.2", "", "")))], 1, 0)
    assert turn.commit.delta is None
    assert newcomer.replica.clock == {}
    assert newcomer.counts["messages_dropped"] == 1


def test_a_patch_for_one_that_has_seen_more_is_counted_and_dropped() -> None:
    node = node_of()
    patch = Patch("n2", VersionVector(n2=4), VersionVector(n2=5), VersionVector(), Stamp(1, 0), ())
    turn = node.turn([read(encode_message(Answer("n2", "r", patch)))], 1, 0)
    assert turn.commit.quarantined == []
    assert node.counts["patches_refused"] == 1


def test_a_confirmation_of_nothing_is_ignored() -> None:
    node = node_of()
    turn = node.turn([read(encode_message(Done("n2", "r", 3)))], 1, 0)
    assert turn.effects == []
    assert turn.commit.quarantined == []

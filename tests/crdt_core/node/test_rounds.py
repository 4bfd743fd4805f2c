"""Rounds: whatever becomes of their messages, each ends, and whoever waits for one hears of it once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.codec.messages import Answer, Ask, Done, Push, Round, decode_message, encode_message
from crdt_core.lattice.clocks import VersionVector
from crdt_core.node.events import LinksRead, MessagesRead, Reply, RoundAsked, Send, SendFailed, Tick
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from tests.crdt_core.net import TIMEOUT_MS, Flying, Net
from tests.crdt_core.writes import Add, Count, Delete, Remove

if TYPE_CHECKING:
    from collections.abc import Callable

    from crdt_core.node.events import RoundResult, Turn

DAY_MS = 86_400_000
RECORDED = Path(__file__).with_name("conversation_of_0_1_0.json")
NAMES = ("n1", "n2", "n3")
SMALL = NodeOptions(exchange_timeout_ms=TIMEOUT_MS, chunk_bytes=300)


def results(turn: Turn) -> list[RoundResult]:
    return [effect.result for effect in turn.effects if isinstance(effect, Reply)]


def small_net(*names: str) -> Net:
    """A net whose patches take several messages each, though there is little in them."""
    net = Net(*names, options=SMALL)
    for name in names:
        net.call(name, *(Add(name.encode(), b"member %d" % number) for number in range(6)))
    return net


def job_round(*peers: str) -> MessagesRead:
    return MessagesRead([("1-0", encode_message(Round("r", peers, "answer")))])


# The halves of a round ------------------------------------------------------------------------------------------------


def test_a_round_pulls_from_all_and_then_pushes_what_each_lacks() -> None:
    net = small_net(*NAMES)
    net.ask("n1")
    net.run()
    assert net.state("n1") == net.state("n2") == net.state("n3")
    assert net.result().contacted == ("n2", "n3")
    assert net.result().failed == net.result().under_way == ()
    assert net.result().new_items == 6 * 2 + 6 * 2 * 2
    sent = [message for message in map(decode, net.sent) if message.sender == "n1"]
    assert net.result().messages_sent == len(sent)
    assert all(net[name].exchanging == () for name in NAMES)


def test_nothing_is_pushed_to_a_peer_that_lacks_nothing() -> None:
    net = small_net("n1", "n2")
    net.pass_on("n2")
    net.ask("n1", "n2")
    net.run()
    assert "push" not in [message.kind for message in net.sent]
    assert net.result().contacted == ("n2",)


def test_the_second_half_waits_for_all_peers_and_not_for_those_that_fail() -> None:
    net = small_net(*NAMES)
    net.ask("n1")
    net.flying = [message for message in net.flying if message.to == "n2"]
    while net.flying:
        net.step()
    assert "push" not in [message.kind for message in net.sent]
    net.wait(TIMEOUT_MS)
    net.run()
    assert net.state("n1") == net.state("n2")
    assert (net.result().contacted, net.result().failed) == (("n2",), ("n3",))


def test_a_round_with_nobody_ends_at_once() -> None:
    net = small_net("n1", "n2")
    net.turn("n1", LinksRead(frozenset({"n2"})))
    net.ask("n1")
    assert net.result().contacted == net.result().failed == ()
    assert net.flying == []


def test_a_peer_that_is_named_twice_is_asked_once() -> None:
    net = small_net("n1", "n2")
    net.ask("n1", "n2", "n2")
    assert len(net.flying) == 1
    net.run()
    assert net.result().contacted == ("n2",)


def test_a_round_whose_answer_cannot_be_joined_waits_for_the_time_to_be_up() -> None:
    """Asked again at once the peer would say the same, as fast as the network carries it."""
    net = small_net("n1", "n2")
    net.ask("n1", "n2")
    (ask,) = net.flying
    net.flying.clear()
    patch = net["n2"].replica.patch(VersionVector(n2=1), net["n2"].hlc.last)
    net.deliver(Flying("n1", encode_message(Answer("n2", orjson.loads(ask.content)["round"], patch))))
    assert net["n1"].counts["patches_refused"] == 1
    assert net["n1"].exchanging == ("n2",)
    net.wait(TIMEOUT_MS)
    assert net.result().failed == ("n2",)


def test_only_so_many_large_pushes_are_on_their_way_to_one_peer() -> None:
    net = Net("n1", "n2", options=SMALL)
    net.call("n1", *(Add(b"n1", b"member %d" % number) for number in range(6)))
    for _ in range(6):
        net.ask("n1", "n2")
    asks, net.flying = net.flying, []
    for ask in asks:
        net.deliver(ask)
    answers, net.flying = net.flying, []
    for answer in answers:
        net.deliver(answer)
    assert [message.kind for message in net.flying] == ["chunk"] * 4
    assert [result.failed for result in net.results] == [("n2",)] * 2
    net.run()
    assert [result.contacted for result in net.results] == [()] * 2 + [("n2",)] * 4
    assert net.state("n1") == net.state("n2")


# Who waits ------------------------------------------------------------------------------------------------------------


def test_a_round_is_given_up_when_its_time_is_over_wherever_the_wall_clock_has_been_set() -> None:
    node = Node("n1", Replica("n1", founders=["n1", "n2"]), "s", options=NodeOptions(exchange_timeout_ms=1000))
    turn = node.turn([RoundAsked((), "caller")], wall_ms=10 * DAY_MS, monotonic_ms=0)
    assert [effect.peer for effect in turn.effects if isinstance(effect, Send)] == ["n2"]
    assert results(node.turn([Tick()], wall_ms=11 * DAY_MS, monotonic_ms=999)) == []
    (result,) = results(node.turn([Tick()], wall_ms=9 * DAY_MS, monotonic_ms=1000))
    assert result.failed == ("n2",)


def test_a_job_is_told_once_and_the_header_says_how_its_round_ended() -> None:
    net = small_net("n1", "n2")
    net.turn("n1", job_round("n2"))
    net.run()
    (answer,) = net.answers
    assert answer.key == "answer"
    assert answer.result == {
        "peers_contacted": ["n2"],
        "peers_failed": [],
        "peers_under_way": [],
        "messages_sent": answer.result["messages_sent"],
        "new_items": 12,
    }
    assert orjson.loads(net.headers["n1"]["round"])["peers_contacted"] == ["n2"]


def test_a_peer_that_is_unreachable_fails_and_the_round_ends_without_waiting() -> None:
    net = small_net("n1", "n2")
    net.ask("n1", "n2")
    net.turn("n1", SendFailed("n2", orjson.loads(net.flying[0].content)["round"]))
    assert net.result().failed == ("n2",)
    net.run()
    assert len(net.results) == 1
    assert net["n1"].replica.value(b"n2"), "an answer that comes all the same is joined"


def test_messages_of_a_round_that_nobody_started_are_taken_in_and_move_nothing() -> None:
    net = small_net("n1", "n2")
    patch = net["n2"].replica.patch(VersionVector(), net["n2"].hlc.last)
    for message in (Answer("n2", "r", patch), Done("n2", "r", 3), Push("n2", "r", patch)):
        net.deliver(Flying("n1", encode_message(message)))
    assert net["n1"].replica.value(b"n2")
    assert [message.kind for message in net.flying] == ["done"]
    net.turn("n1", SendFailed("n2", "r"))
    assert net["n1"].exchanging == ()


def test_a_question_that_comes_twice_is_answered_in_chunks_once() -> None:
    net = small_net("n1", "n2")
    ask = Flying("n2", encode_message(Ask("n1", "r", VersionVector())))
    net.deliver(ask)
    net.deliver(ask)
    assert [message.kind for message in net.flying] == ["chunk"]
    assert net["n2"].exchanging == ("n1",)


# Anything may become of messages --------------------------------------------------------------------------------------


class Mishaps:
    """A net in which anything becomes of messages; it counts who waits for a round."""

    def __init__(self) -> None:
        self.net = small_net(*NAMES)
        self.asked = self.jobs = 0

    def deliver(self, number: int) -> None:
        self.net.deliver(self._take(number))

    def double(self, number: int) -> None:
        self.net.deliver(self.net.flying[number % len(self.net.flying)])

    def lose(self, number: int) -> None:
        self._take(number)

    def fail(self, number: int) -> None:
        message = self._take(number)
        sent = decode(message)
        self.net.turn(sent.sender, SendFailed(message.to, sent.round))

    def ask(self, number: int) -> None:
        self.asked += 1
        self.net.turn(NAMES[number % 3], RoundAsked((), self.asked))

    def job(self, number: int) -> None:
        self.jobs += 1
        self.net.turn(NAMES[number % 3], job_round(*NAMES))

    def wait(self, number: int) -> None:
        self.net.wait(TIMEOUT_MS // (1 + number % 3))

    def write(self, number: int) -> None:
        self.net.call(NAMES[number % 3], Count(b"hits"))

    def _take(self, number: int) -> Flying:
        return self.net.flying.pop(number % len(self.net.flying))


OF_MESSAGES = (Mishaps.deliver, Mishaps.double, Mishaps.lose, Mishaps.fail)
OTHERS = (Mishaps.ask, Mishaps.job, Mishaps.wait, Mishaps.write)


@given(st.lists(st.tuples(st.sampled_from([*OF_MESSAGES, *OTHERS]), st.integers(0, 99)), max_size=60))
def test_every_round_ends_and_whoever_waits_hears_once(steps: list[tuple[Callable[[Mishaps, int], None], int]]) -> None:
    mishaps = Mishaps()
    net = mishaps.net
    for befall, number in steps:
        if net.flying or befall in OTHERS:
            befall(mishaps, number)
    for _ in range(3):
        net.flying.clear()
        net.wait(TIMEOUT_MS)
    waited = [reply for reply in net.replies if reply.token is not None]
    assert sorted(reply.token for reply in waited) == list(range(1, mishaps.asked + 1))
    assert len(net.answers) == mishaps.jobs
    for reply in waited:
        assert reply.result.under_way == ()
        assert len({*reply.result.contacted, *reply.result.failed}) == 2
    for name in NAMES:
        assert net[name].exchanging == net[name].arriving == ()
        assert not net[name].replica.catalogue.is_watched
    assert net.quarantined == []


# Older nodes ----------------------------------------------------------------------------------------------------------


def test_a_conversation_with_a_node_of_0_1_0_is_byte_for_byte_what_it_was() -> None:
    """The messages were recorded between two nodes of 0.1.0: each side must say the same to the other now."""
    recorded = orjson.loads(RECORDED.read_bytes())
    net = Net("n1", "n2", options=NodeOptions(exchange_timeout_ms=TIMEOUT_MS, chunk_bytes=400))
    net.call("n1", *(Add(b"left", b"e%d" % number) for number in range(12)))
    net.call("n1", Count(b"hits", 5), Remove(b"left", b"e3"))
    net.call("n2", *(Add(b"right", b"e%d" % number) for number in range(12)))
    net.call("n2", Count(b"hits", 7), Delete(b"right"))
    net.call("n2", *(Add(b"right", b"f%d" % number) for number in range(8)))
    assert [[name, counter, delta.decode()] for name, counter, delta in net.deltas] == recorded["deltas"]
    net.ask("n1", "n2")
    for number, (to, content) in enumerate(recorded["messages"]):
        assert [(message.to, message.content.decode()) for message in net.sent[number:]] == [(to, content)]
        net.deliver(Flying(to, content.encode()))
    assert len(net.sent) == len(recorded["messages"])
    assert net.state("n1") == net.state("n2")


def decode(message: Flying) -> Ask | Answer | Push | Done:
    return decode_message(message.content)  # type: ignore[return-value]

"""Which node is asked next, what it must have seen before, and what is repeated: played without any network."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ResponseError, TryAgainError

from deltaic.errors import NodesBehind, NoNodeAnswers, OutcomeUnknown, Refused
from deltaic.failures import NodeFailed
from deltaic.operations import plain
from deltaic.options import ClientOptions
from tests.deltaic.scripted import Scene, ScriptedNode, token_of

READ = plain(("GET", "k"), writes=False)
WRITE = plain(("INCR", "k"), writes=True)
IDEMPOTENT = plain(("SADD", "k", "x"), writes=True, idempotent=True)

DOWN = NodeFailed("connection refused", may_have_acted=False)
SILENT = NodeFailed("it did not reply in time", may_have_acted=True)


def pair(**clocks: dict[str, int]) -> Scene:
    return Scene(n1=ScriptedNode(clocks.get("n1", {})), n2=ScriptedNode(clocks.get("n2", {})))


def test_the_first_node_is_asked_and_gives_its_token_along_with_the_reply() -> None:
    scene = pair(n1={"n1": 3})
    assert scene.play(READ) == b"fine"
    assert scene.asked == [("n1", "GET"), ("n1", "DELTAIC.TOKEN")]
    assert scene.journey.progress.token == token_of(n1=3)
    assert scene.journey.node == "n1"


@pytest.mark.parametrize("operation", [READ, WRITE, IDEMPOTENT])
def test_a_node_that_cannot_be_reached_is_left_for_the_next(operation) -> None:
    scene = pair()
    scene.nodes["n1"].failure = DOWN
    assert scene.play(operation) == b"fine"
    assert scene.journey.node == "n2"


@pytest.mark.parametrize("operation", [READ, IDEMPOTENT])
def test_a_read_and_an_idempotent_write_without_a_reply_are_repeated_elsewhere(operation) -> None:
    scene = pair()
    scene.nodes["n1"].failure = SILENT
    assert scene.play(operation) == b"fine"
    assert scene.journey.node == "n2"


def test_a_write_without_a_reply_is_not_repeated() -> None:
    scene = pair()
    scene.nodes["n1"].failure = SILENT
    with pytest.raises(OutcomeUnknown, match="n1 may or may not have done INCR k: it did not reply in time") as caught:
        scene.play(WRITE)
    assert (caught.value.node, caught.value.command) == ("n1", "INCR k")
    assert scene.asked == []
    assert scene.play(WRITE) == b"fine"  # the next one goes elsewhere
    assert scene.journey.node == "n2"


@pytest.mark.parametrize("text", ["no commit for 3 s; nothing was changed", "the worker is shutting down; try another"])
def test_a_write_that_surely_changed_nothing_is_repeated_elsewhere(text: str) -> None:
    scene = pair()
    scene.nodes["n1"].reply = ResponseError(text)
    assert scene.play(WRITE) == b"fine"
    assert scene.journey.node == "n2"


def test_a_write_of_which_the_node_itself_does_not_know_is_not_repeated() -> None:
    scene = pair()
    scene.nodes["n1"].reply = ResponseError("no confirmation from Redis within 1 s; it may still take effect")
    with pytest.raises(OutcomeUnknown):
        scene.play(WRITE)
    assert ("n2", "INCR") not in scene.asked


BAD_TOKENS = (
    ResponseError("the worker is shutting down; try another node, or again"),
    TryAgainError("no commit for 3 s"),
    ResponseError("unknown command 'DELTAIC.TOKEN'"),
    b"no token",
    None,
)


class WithoutToken(ScriptedNode):
    """A node that does what it is asked, and gives `token` for a token."""

    token: Any = None

    def answer(self, command: tuple[bytes, ...]) -> Any:
        return self.token if command == (b"DELTAIC.TOKEN",) else super().answer(command)


@pytest.mark.parametrize("token", BAD_TOKENS)
def test_a_write_that_was_done_is_not_repeated_and_not_refused_where_the_token_fails(token: Any) -> None:
    """The fate of DELTAIC.TOKEN was taken for that of the write before it: it was done twice, or said to be refused."""
    scene = Scene(n1=WithoutToken(), n2=ScriptedNode())
    scene.nodes["n1"].token = token
    with pytest.raises(OutcomeUnknown, match="n1 may or may not have done INCR k: it replied, but gave no token"):
        scene.play(WRITE)
    assert ("n2", "INCR") not in scene.asked
    assert scene.journey.node is None


@pytest.mark.parametrize("token", BAD_TOKENS)
@pytest.mark.parametrize("operation", [READ, IDEMPOTENT])
def test_what_may_be_repeated_goes_on_elsewhere_where_the_token_fails(operation, token: Any) -> None:
    scene = Scene(n1=WithoutToken(), n2=ScriptedNode())
    scene.nodes["n1"].token = token
    assert scene.play(operation) == b"fine"
    assert scene.journey.node == "n2"


def test_a_refusal_is_the_callers_and_is_the_same_everywhere() -> None:
    scene = pair()
    scene.nodes["n1"].reply = ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
    with pytest.raises(Refused, match="n1 refused INCR k: WRONGTYPE"):
        scene.play(WRITE)
    assert ("n2", "INCR") not in scene.asked


def test_the_next_node_must_have_seen_what_the_session_has() -> None:
    scene = pair(n1={"n1": 3}, n2={"n1": 3, "n2": 9})
    scene.play(WRITE)
    scene.nodes["n1"].failure = DOWN
    scene.asked.clear()
    scene.play(WRITE)
    assert scene.asked == [("n2", "DELTAIC.AWAIT"), ("n2", "INCR"), ("n2", "DELTAIC.TOKEN")]
    assert scene.awaits_ms == [1000]
    scene.asked.clear()
    scene.play(WRITE)  # it is known to have seen that
    assert scene.asked == [("n2", "INCR"), ("n2", "DELTAIC.TOKEN")]


def test_a_session_is_not_served_by_nodes_that_lack_what_it_has_seen() -> None:
    scene = pair(n1={"n1": 3}, n2={"n1": 2})
    scene.play(WRITE)
    scene.nodes["n1"].failure = DOWN
    with pytest.raises(NodesBehind) as caught:
        scene.play(READ)
    assert caught.value.reasons == {
        "n1": "connection refused",
        "n2": "this node lacks 1 of the commits that the token names",
    }
    assert ("n2", "GET") not in scene.asked
    assert scene.now_s == pytest.approx(1010)
    scene.journey.progress.forget()
    assert scene.play(READ) == b"fine"


def test_a_third_node_serves_where_the_second_is_behind() -> None:
    scene = Scene(n1=ScriptedNode({"n1": 3}), n2=ScriptedNode(), n3=ScriptedNode({"n1": 3}))
    scene.play(WRITE)
    scene.nodes["n1"].failure = DOWN
    assert scene.play(READ) == b"fine"
    assert scene.journey.node == "n3"


def test_a_node_that_answers_again_gets_its_session_back_once_it_has_caught_up() -> None:
    scene = pair(n2={"n2": 1})
    scene.nodes["n1"].failure = DOWN
    scene.play(WRITE)
    scene.nodes["n1"].failure = None
    scene.now_s += 5
    scene.asked.clear()
    assert scene.play(READ) == b"fine"
    assert scene.journey.node == "n2"
    assert scene.awaits_ms == [1]  # it was only asked
    scene.play(READ)
    assert [command for node, command in scene.asked if node == "n1"] == ["DELTAIC.AWAIT"]  # and then left alone
    scene.nodes["n1"].clock = {"n2": 1}
    scene.now_s += 5
    scene.play(READ)
    assert scene.journey.node == "n1"


def test_while_one_caller_tries_a_node_that_had_failed_the_others_go_elsewhere() -> None:
    scene = pair()
    scene.nodes["n1"].failure = DOWN
    scene.play(READ)
    scene.now_s += 5
    trying = scene.calls.plan(READ, scene.journey)
    assert next(trying).node == "n1"
    scene.play(READ, scene.calls.journey(token_of()))
    assert scene.asked[-1] == ("n2", "DELTAIC.TOKEN")


def test_where_all_nodes_are_down_the_call_waits_until_its_deadline_and_says_why() -> None:
    scene = Scene(
        ClientOptions(deadline_s=3, backoff_max_s=0.5), n1=ScriptedNode(failure=DOWN), n2=ScriptedNode(failure=DOWN)
    )
    with pytest.raises(NoNodeAnswers, match="no node took INCR k; n1: connection refused; n2: connection refused"):
        scene.play(WRITE)
    assert scene.now_s == pytest.approx(1003)
    assert max(scene.paused_s) <= 0.5


def test_every_node_is_tried_even_where_the_first_one_outlasts_the_deadline() -> None:
    scene = pair()
    scene.nodes["n1"].failure, scene.nodes["n1"].takes_s = SILENT, 60
    assert scene.play(READ) == b"fine"
    assert scene.journey.node == "n2"


def test_a_call_outwaits_a_short_failure_of_the_only_node() -> None:
    scene = Scene(n1=ScriptedNode(failure=DOWN))
    plan = scene.calls.plan(WRITE, scene.journey)
    assert next(plan).node == "n1"
    assert plan.throw(DOWN).seconds == pytest.approx(0.05)
    scene.now_s += 0.05
    assert plan.send([]).commands[0] == (b"INCR", b"k")


def test_a_node_that_was_lost_is_asked_again_what_it_has_seen() -> None:
    """It may have come back without its last commits."""
    scene = Scene(n1=ScriptedNode({"n1": 3}))
    scene.play(WRITE)
    scene.nodes["n1"].failure = DOWN
    plan = scene.calls.plan(READ, scene.journey)
    next(plan)
    plan.throw(DOWN)
    scene.now_s += 1
    assert plan.send([]).commands[0][0] == b"DELTAIC.AWAIT"


def test_an_await_that_fails_with_its_connection_leaves_the_write_unsent() -> None:
    scene = pair(n1={"n1": 3}, n2={"n1": 3})
    scene.journey.progress.must_see(token_of(n1=3))
    scene.nodes["n1"].failure = SILENT
    assert scene.play(WRITE) == b"fine"


def test_what_is_no_node_of_deltaic_serves_no_reads() -> None:
    scene = Scene(n1=WithoutToken())
    scene.nodes["n1"].token = ResponseError("unknown command 'DELTAIC.TOKEN'")
    with pytest.raises(NoNodeAnswers, match=r"n1 refused DELTAIC\.TOKEN: unknown command"):
        scene.play(READ)


def test_a_token_that_the_node_cannot_read_is_refused() -> None:
    scene = pair()
    scene.journey.progress.must_see(token_of(n1=3))
    scene.nodes["n1"].answer = lambda _command: ResponseError("this is no token of DELTAIC.TOKEN")
    with pytest.raises(Refused, match=r"n1 refused DELTAIC\.AWAIT"):
        scene.play(READ)


def test_an_overloaded_node_is_left_for_a_moment() -> None:
    scene = pair()
    scene.nodes["n1"].reply = TryAgainError("10000 calls wait already (setting limits.calls_waiting_max)")
    scene.play(WRITE)
    scene.nodes["n1"].reply = b"fine"
    scene.now_s += 1
    scene.play(WRITE)
    assert scene.journey.node == "n1"

"""What each workload answers, and what concurrent requests at two nodes give."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.errors import CallerError, InvalidArgument
from tests.workers.maelstrom.nodes import INIT_OF_3, TwoNodes, bodies
from tests.workers.mailboxes import QuickStore, end, open_mailbox
from workers.maelstrom.protocol import MALFORMED, Request, RequestError
from workers.maelstrom.workloads import WORKLOADS, Shell
from workers.turns.commands import CommandRunner

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def two_nodes() -> Iterator[TwoNodes]:
    with ExitStack() as stack:
        nodes = TwoNodes("or-set", stack)
        yield nodes
        nodes.close()


# The OR-set


def test_an_or_set_shows_what_was_added():
    added, read = bodies("or-set", [{"type": "or_set_add", "element": "apple"}, {"type": "or_set_read"}])
    assert added == {"type": "or_set_add_ok", "tag": added["tag"], "in_reply_to": 2, "msg_id": 1}
    assert isinstance(added["tag"], str)
    assert read == {"type": "or_set_read_ok", "elements": ["apple"], "in_reply_to": 3, "msg_id": 2}


def test_a_remove_names_all_tags_also_those_of_repeated_adds():
    add, remove = {"type": "or_set_add", "element": "x"}, {"type": "or_set_remove", "element": "x"}
    other, read = {"type": "or_set_add", "element": "y"}, {"type": "or_set_read"}
    first, second, kept, before, removed, after, again = bodies("or-set", [add, add, other, read, remove, read, remove])
    assert len({first["tag"], second["tag"], kept["tag"]}) == 3
    assert before["elements"] == ["x", "y"]
    assert sorted(removed["tags_removed"]) == sorted([first["tag"], second["tag"]])
    assert after["elements"] == ["y"]
    assert again["tags_removed"] == []


def test_elements_that_only_python_takes_for_equal_are_different():
    adds = [{"type": "or_set_add", "element": element} for element in (1, True)]
    *_, removed, read = bodies("or-set", [*adds, {"type": "or_set_remove", "element": 1}, {"type": "or_set_read"}])
    assert len(removed["tags_removed"]) == 1
    assert read["elements"] == [True]


def test_an_add_wins_over_a_concurrent_remove_at_another_node(two_nodes):
    first = two_nodes.ask("n1", type="or_set_add", element="x")["tag"]
    two_nodes.exchange("n1")
    assert two_nodes.ask("n2", type="or_set_read")["elements"] == ["x"]

    second = two_nodes.ask("n1", type="or_set_add", element="x")["tag"]
    assert two_nodes.ask("n2", type="or_set_remove", element="x")["tags_removed"] == [first]
    assert two_nodes.ask("n2", type="or_set_read")["elements"] == []
    two_nodes.exchange("n1", "n2")

    assert two_nodes.ask("n1", type="or_set_read")["elements"] == ["x"]
    assert two_nodes.ask("n2", type="or_set_read")["elements"] == ["x"]
    assert two_nodes.ask("n2", type="or_set_remove", element="x")["tags_removed"] == [second]


# Gossip


def test_a_round_with_nothing_known_contacts_nobody():
    (said,) = bodies("gossip", [{"type": "gossip_round"}], init=INIT_OF_3)
    assert said == {
        "type": "gossip_round_ok",
        "peers_contacted": 0,
        "messages_sent": 0,
        "in_reply_to": 2,
        "msg_id": 1,
    }


@pytest.mark.parametrize(("fanout", "contacted"), [(1, 1), (2, 2), (5, 2)])
def test_a_round_tells_as_many_peers_as_the_fanout_says_all_that_is_known(fanout, contacted):
    told = [{"type": "broadcast", "message": message} for message in (3, 1, 2)]
    said = bodies("gossip", [*told, {"type": "gossip_round"}], "--fanout", str(fanout), init=INIT_OF_3)
    (answer,) = [body for body in said if body["type"] == "gossip_round_ok"]
    assert (answer["peers_contacted"], answer["messages_sent"]) == (contacted, 3 * contacted)
    assert [body["messages"] for body in said if body["type"] == "gossip_sync"] == [[1, 2, 3]] * contacted


# The counter


def test_a_counter_takes_in_what_other_nodes_have_counted():
    gossip = [{"type": "gossip", "counters": counters} for counters in ({"n2": 7}, {"n2": 5, "n3": 1}, {"n1": 100})]
    add, *taken, read = bodies("counter", [{"type": "add", "delta": 3}, *gossip, {"type": "read"}])
    assert add == {"type": "add_ok", "in_reply_to": 2, "msg_id": 1}
    assert [body["type"] for body in taken] == ["gossip_ok"] * 3
    assert read == {"type": "read_ok", "value": 3 + 7 + 1, "in_reply_to": 6, "msg_id": 5}


def test_only_the_counter_that_may_shrink_takes_a_negative_delta():
    requests = [{"type": "add", "delta": 5}, {"type": "add", "delta": -7}, {"type": "read"}]
    assert [body.get("value") or body.get("code") for body in bodies("g-counter", requests)] == [None, 12, 5]
    assert [body.get("value") or body.get("code") for body in bodies("pn-counter", requests)] == [None, None, -2]


# Any JSON


def test_echo_answers_any_json():
    values: list[Any] = ["hello", None, {"b": [1, 2.5, "\u20ac"], "a": True}]
    said = bodies("echo", [{"type": "echo", "echo": value} for value in values])
    assert [body["echo"] for body in said] == values
    assert list(said[0]) == ["type", "echo", "in_reply_to", "msg_id"]


def test_a_topology_is_acknowledged():
    (said,) = bodies("broadcast", [{"type": "topology", "topology": {"n1": ["n2"]}}])
    assert said == {"type": "topology_ok", "in_reply_to": 2, "msg_id": 1}


# In this process, on a real mailbox


class Workload:
    """A workload of a single node, asked without the protocol around it."""

    def __init__(self, name: str, shell: Shell) -> None:
        self._handlers = WORKLOADS[name](shell)

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        request = Request(src="c1", dest="n1", type=type_, msg_id=1, body={"type": type_, **fields})
        return await self._handlers.by_type[type_](request)


@pytest.mark.parametrize(
    ("name", "asked", "told"),
    [
        (
            "g-set",
            [("add", {"element": 2}), ("add", {"element": [1]}), ("add", {"element": 2}), ("read", {})],
            {"value": [2, [1]]},
        ),
        ("g-set", [("read", {})], {"value": []}),
        (
            "broadcast",
            [("broadcast", {"message": 10}), ("broadcast", {"message": 9}), ("read", {})],
            {"messages": [9, 10]},
        ),
        ("course-g-set", [("merge", {"elements": ["b", "a", "b"]})], {"new_count": 2}),
        ("gossip", [("gossip_sync", {"messages": [1, 2]}), ("gossip_sync", {"messages": [2, 3]})], {"new_count": 1}),
        ("g-counter", [("read", {})], {"value": 0}),
        ("g-counter", [("add", {"delta": 0}), ("add", {"delta": 7}), ("read", {})], {"value": 7}),
        ("pn-counter", [("add", {"delta": -7}), ("add", {"delta": 2}), ("read", {})], {"value": -5}),
        ("counter", [("gossip", {"counters": {"n2": 2**63 - 1}}), ("read", {})], {"value": 2**63 - 1}),
    ],
)
async def test_a_request_runs_commands_and_its_reply_has_their_replies(
    name: str, asked: list[tuple[str, dict[str, Any]]], told: dict[str, Any]
) -> None:
    mailbox, turns = open_mailbox(store := QuickStore(), call_timeout_s=5)
    workload = Workload(name, Shell(CommandRunner(mailbox), lambda _: (0, 0)))
    answers = [await workload.ask(type_, **fields) for type_, fields in asked]
    assert answers[-1] == told
    await end(mailbox, turns, store)


@pytest.mark.parametrize(
    ("name", "type_", "fields", "error"),
    [
        ("g-counter", "add", {"delta": -1}, RequestError),
        ("pn-counter", "add", {"delta": 2**63}, InvalidArgument),
        ("pn-counter", "add", {"delta": 1.5}, RequestError),
        ("pn-counter", "add", {"delta": True}, RequestError),
        ("counter", "gossip", {"counters": {"n2": "7"}}, InvalidArgument),
        ("counter", "gossip", {"counters": {"n2": -1}}, InvalidArgument),
        ("counter", "gossip", {"counters": {"not an id": 1}}, CallerError),
        ("counter", "gossip", {"counters": {"\ud800": 1}}, CallerError),
        ("g-set", "add", {"element": 1 << 70}, RequestError),
        ("g-set", "add", {}, RequestError),
        ("or-set", "or_set_add", {"element": "\ud800"}, RequestError),
    ],
)
async def test_a_bad_request_is_the_caller_s_error_and_changes_nothing(
    name: str, type_: str, fields: dict[str, Any], error: type[Exception]
) -> None:
    mailbox, turns = open_mailbox(store := QuickStore(), call_timeout_s=5)
    workload = Workload(name, Shell(CommandRunner(mailbox), lambda _: (0, 0)))
    with pytest.raises(error) as refused:
        await workload.ask(type_, **fields)
    assert getattr(refused.value, "code", MALFORMED) == MALFORMED
    assert not mailbox.confirmed.clock
    await end(mailbox, turns, store)


async def test_a_round_tells_peers_all_that_is_known() -> None:
    mailbox, turns = open_mailbox(store := QuickStore(), call_timeout_s=5)
    told: list[list[Any]] = []

    def tell_peers(values: list[Any]) -> tuple[int, int]:
        told.append(values)
        return 2, 2 * len(values)

    workload = Workload("gossip", Shell(CommandRunner(mailbox), tell_peers))
    for message in (3, 1):
        await workload.ask("broadcast", message=message)
    assert await workload.ask("gossip_round") == {"peers_contacted": 2, "messages_sent": 4}
    assert told == [[1, 3]]
    await end(mailbox, turns, store)

"""The course's sample cases byte for byte, and what a node says to requests that nobody has in a sample.

Where a document lists fewer lines than there are requests, the other replies are checked for what it says of them.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.codec.messages import Push, encode_message
from crdt_core.errors import InvariantBroken
from crdt_core.lattice.clocks import Stamp, VersionVector
from crdt_core.replica.replica import Replica
from tests.invocations import command
from tests.workers.maelstrom.cluster import COMMAND, ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

INIT = '{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}'
INIT_OF_3 = '{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1","n2","n3"]}}'
INIT_OK = '{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}'
NO_ROUNDS = ("--interval-ms", "1000000")

SAMPLES = {
    "g-set, add and read": (
        "course-g-set",
        [
            INIT,
            '{"src":"c1","dest":"n1","body":{"type":"add","msg_id":2,"element":"x"}}',
            '{"src":"c1","dest":"n1","body":{"type":"read","msg_id":3}}',
        ],
        [
            INIT_OK,
            '{"src": "n1", "dest": "c1", "body": {"type": "add_ok", "in_reply_to": 2, "msg_id": 1}}',
            (
                '{"src": "n1", "dest": "c1", "body": {"type": "read_ok", "elements": ["x"], "in_reply_to": 3, '
                '"msg_id": 2}}'
            ),
        ],
    ),
    "g-set, merge adds new elements": (
        "course-g-set",
        [
            INIT,
            '{"src":"c1","dest":"n1","body":{"type":"add","msg_id":2,"element":"a"}}',
            '{"src":"n2","dest":"n1","body":{"type":"merge","msg_id":3,"elements":["a","b","c"]}}',
            '{"src":"c1","dest":"n1","body":{"type":"read","msg_id":4}}',
        ],
        [
            INIT_OK,
            '{"src": "n1", "dest": "c1", "body": {"type": "add_ok", "in_reply_to": 2, "msg_id": 1}}',
            '{"src": "n1", "dest": "n2", "body": {"type": "merge_ok", "new_count": 2, "in_reply_to": 3, "msg_id": 2}}',
            (
                '{"src": "n1", "dest": "c1", "body": {"type": "read_ok", "elements": ["a", "b", "c"], '
                '"in_reply_to": 4, "msg_id": 3}}'
            ),
        ],
    ),
    "or-set, add and read element": (
        "or-set",
        [
            INIT,
            '{"src":"c1","dest":"n1","body":{"type":"or_set_add","msg_id":2,"element":"apple"}}',
            '{"src":"c1","dest":"n1","body":{"type":"or_set_read","msg_id":3}}',
        ],
        [INIT_OK],
    ),
    "or-set, remove deletes element": (
        "or-set",
        [
            INIT,
            '{"src":"c1","dest":"n1","body":{"type":"or_set_add","msg_id":2,"element":"banana"}}',
            '{"src":"c1","dest":"n1","body":{"type":"or_set_remove","msg_id":3,"element":"banana"}}',
            '{"src":"c1","dest":"n1","body":{"type":"or_set_read","msg_id":4}}',
        ],
        [INIT_OK],
    ),
    "gossip, round with no messages sends nothing": (
        "gossip",
        [INIT_OF_3, '{"src":"c1","dest":"n1","body":{"type":"gossip_round","msg_id":2}}'],
        [INIT_OK],
    ),
    "gossip, sync merges new messages": (
        "gossip",
        [
            INIT,
            '{"src":"c1","dest":"n1","body":{"type":"broadcast","msg_id":2,"message":10}}',
            '{"src":"n2","dest":"n1","body":{"type":"gossip_sync","msg_id":3,"messages":[10,20,30]}}',
            '{"src":"c1","dest":"n1","body":{"type":"read","msg_id":4}}',
        ],
        [
            INIT_OK,
            '{"src": "n1", "dest": "c1", "body": {"type": "broadcast_ok", "in_reply_to": 2, "msg_id": 1}}',
            (
                '{"src": "n1", "dest": "n2", "body": {"type": "gossip_sync_ok", "new_count": 2, "in_reply_to": 3, '
                '"msg_id": 2}}'
            ),
            (
                '{"src": "n1", "dest": "c1", "body": {"type": "read_ok", "messages": [10, 20, 30], "in_reply_to": 4, '
                '"msg_id": 3}}'
            ),
        ],
    ),
}


def start(workload: str, *options: str) -> subprocess.Popen[str]:
    """A node's process, to be talked to line by line."""
    return subprocess.Popen(
        [*COMMAND, workload, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )


def outputs(workload: str, lines: list[str], *options: str) -> list[str]:
    """What a node says to `lines` and the end of the input, after which it must end well."""
    with start(workload, *NO_ROUNDS, *options) as process:
        out, err = process.communicate("".join(line + "\n" for line in lines), timeout=30)
    assert process.returncode == 0, err
    return out.splitlines()


def bodies(workload: str, requests: list[dict[str, Any]], *options: str, init: str = INIT) -> list[dict[str, Any]]:
    """The bodies of all that a node says after its init, to `requests` numbered from 2."""
    lines = [json.dumps({"src": "c1", "dest": "n1", "body": {"msg_id": 2 + i, **r}}) for i, r in enumerate(requests)]
    return [json.loads(line)["body"] for line in outputs(workload, [init, *lines], *options)[1:]]


class TwoNodes:
    """Nodes n1 and n2, whose messages to each other wait here until the test lets them through."""

    def __init__(self, workload: str, stack: ExitStack) -> None:
        self._processes = {name: stack.enter_context(start(workload, *NO_ROUNDS)) for name in ("n1", "n2")}
        self._held: list[dict[str, Any]] = []
        for name in self._processes:
            self.ask(name, type="init", node_id=name, node_ids=["n1", "n2"])

    def ask(self, node: str, **body: Any) -> dict[str, Any]:
        """The reply to a client's request; what the node says to its peer meanwhile is held."""
        self._write(node, {"src": "c1", "dest": node, "body": {**body, "msg_id": 1}})
        return self._read_until(node, "c1")["body"]

    def exchange(self, *senders: str) -> None:
        """Lets through the deltas of each of the `senders`, waiting for them where they are still to come."""
        for sender in senders:
            while not any(message["src"] == sender for message in self._held):
                self._read_until(sender, "n1" if sender == "n2" else "n2")
        for message in self._held:
            self._write(message["dest"], message)
        self._held = []

    def close(self) -> None:
        """Ends both nodes by the end of their input."""
        for process in self._processes.values():
            process.communicate(timeout=30)
            assert process.returncode == 0

    def _write(self, node: str, message: dict[str, Any]) -> None:
        stdin = self._processes[node].stdin
        assert stdin is not None
        stdin.write(json.dumps(message) + "\n")
        stdin.flush()

    def _read_until(self, node: str, dest: str) -> dict[str, Any]:
        stdout = self._processes[node].stdout
        assert stdout is not None
        while True:
            message = json.loads(stdout.readline())
            if message["dest"] in self._processes:
                self._held.append(message)
            if message["dest"] == dest:
                return message


@pytest.fixture
def two_nodes() -> Iterator[TwoNodes]:
    with ExitStack() as stack:
        nodes = TwoNodes("or-set", stack)
        yield nodes
        nodes.close()


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_sample_is_answered_as_written(sample):
    workload, requests, expected = SAMPLES[sample]
    said = outputs(workload, requests)
    assert said[: len(expected)] == expected
    assert len(said) == len(requests)


# The OR-set's samples list no more than the first line


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


def test_a_node_that_knows_nothing_is_silent_between_requests():
    """A grader that waits until a timeout, rather than closing stdin, must see no line more than the sample's."""
    with start("gossip", "--interval-ms", "1") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(INIT_OF_3 + "\n")
        for msg_id in range(100):
            request = {"src": "c1", "dest": "n1", "body": {"type": "gossip_round", "msg_id": msg_id}}
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["dest"] in {"c0", "c1"}
        process.communicate(timeout=30)


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


# The protocol


def test_echo_answers_any_json():
    values: list[Any] = ["hello", None, {"b": [1, 2.5, "\u20ac"], "a": True}]
    said = bodies("echo", [{"type": "echo", "echo": value} for value in values])
    assert [body["echo"] for body in said] == values
    assert list(said[0]) == ["type", "echo", "in_reply_to", "msg_id"]


def test_a_topology_is_acknowledged():
    (said,) = bodies("broadcast", [{"type": "topology", "topology": {"n1": ["n2"]}}])
    assert said == {"type": "topology_ok", "in_reply_to": 2, "msg_id": 1}


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"type": "no_such_thing"}, 10),
        ({"type": "broadcast"}, 12),
        ({"type": "topology", "topology": 1}, 12),
        ({"type": "broadcast", "message": 1 << 70}, 12),
        ({"type": "broadcast", "message": "\ud800"}, 12),
        ({"type": 7}, 12),
        ({}, 12),
        ({"type": "deltaic_deltas", "deltas": ["nonsense"]}, 12),
        ({"type": "deltaic_deltas", "deltas": [7]}, 12),
        ({"type": "init", "node_id": "n1", "node_ids": ["n1"]}, 22),
    ],
)
def test_a_bad_request_is_answered_with_the_protocols_error_and_the_next_one_is_served(request_, code):
    error, read = bodies("broadcast", [request_, {"type": "read"}])
    assert error.keys() == {"type", "code", "text", "in_reply_to", "msg_id"}
    assert (error["type"], error["code"], error["in_reply_to"]) == ("error", code, 2)
    assert (read["type"], read["messages"]) == ("read_ok", [])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"node_id": "n1"},
        {"node_id": "n1", "node_ids": "n1"},
        {"node_id": "n1", "node_ids": ["n2"]},
        {"node_id": "n1", "node_ids": ["n1", 2]},
        {"node_id": "not an id", "node_ids": ["not an id"]},
    ],
)
def test_a_malformed_init_may_be_made_good(fields):
    bad = json.dumps({"src": "c0", "dest": "n1", "body": {"type": "init", "msg_id": 1, **fields}})
    refused, ok = (json.loads(line)["body"] for line in outputs("g-set", [bad, INIT]))
    assert (refused["type"], refused["code"]) == ("error", 12)
    assert ok["type"] == "init_ok"


def test_a_request_before_init_is_refused():
    early = '{"src":"c1","dest":"n1","body":{"type":"read","msg_id":1}}'
    refused, ok = (json.loads(line)["body"] for line in outputs("g-set", [early, INIT]))
    assert (refused["type"], refused["code"]) == ("error", 22)
    assert ok["type"] == "init_ok"


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "",
        "7",
        "null",
        "[]",
        "{}",
        '{"src":5,"dest":"n1","body":{"type":"read","msg_id":1}}',
        '{"src":"c1","dest":"n1","body":{"type":"broadcast","msg_id":1,"message":NaN}}',
        '{"src":"c1","dest":"n1","body":{"type":"broadcast","msg_id":1,"message":1e999}}',
        '{"src":"c1","dest":"n1","body":{"type":"read"}}',
        "[" * 100_000,
        '{"src":"c1","dest":"n1","body":{"type":"read","msg_id":1',
    ],
)
def test_a_line_that_nobody_can_be_answered_for_leaves_stdout_alone(line):
    read = '{"src":"c1","dest":"n1","body":{"type":"read","msg_id":2}}'
    expected = '{"src": "n1", "dest": "c1", "body": {"type": "read_ok", "messages": [], "in_reply_to": 2, "msg_id": 1}}'
    assert outputs("broadcast", [INIT, line, read]) == [INIT_OK, expected]


def test_deep_nesting_is_answered_with_something():
    value: Any = 1
    for _ in range(600):
        value = [value]
    said = bodies("broadcast", [{"type": "broadcast", "message": value}, {"type": "read"}])
    assert [body["type"] for body in said] == ["error", "read_ok"]


def test_the_end_of_the_input_ends_the_node_at_any_time():
    assert outputs("g-set", []) == []
    assert outputs("g-set", [INIT]) == [INIT_OK]


def test_a_node_that_has_forgotten_what_it_did_stops_rather_than_do_it_anew():
    """In memory, a restarted node hears of commits of its own that it does not know: it must not spend those dots."""
    forgotten, peer = Replica("n1"), Replica("n2")
    command("DELTAIC.SET.ADD", b"maelstrom", b"1", "KIND", "gset").run(forgotten, Stamp(1, 0))
    delta = forgotten.commit(Stamp(1, 0))
    assert delta is not None
    peer.apply(delta)
    push = encode_message(Push("n2", "n2-1", peer.patch(VersionVector(), Stamp(1, 0)))).decode()
    told = {"src": "n2", "dest": "n1", "body": {"type": "deltaic_message", "message": push}}
    with start("g-set", *NO_ROUNDS) as process:
        assert process.stdin is not None
        process.stdin.write(f"{INIT_OF_3}\n{json.dumps(told)}\n")
        process.stdin.flush()
        assert process.wait(timeout=30) == InvariantBroken.exit_code
        out, err = process.communicate()
    assert out.splitlines() == [INIT_OK]
    assert "n1:1" in err

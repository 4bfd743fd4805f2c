"""The process: what it says to lines of any kind, to a start that fails, and at the end of its input."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crdt_core.codec.messages import Push, encode_message
from crdt_core.errors import InvariantBroken
from crdt_core.lattice.clocks import Stamp, VersionVector
from crdt_core.replica.replica import Replica
from tests.invocations import command
from tests.server import ValkeyServer
from tests.workers.maelstrom.nodes import INIT, INIT_OF_3, INIT_OK, NO_ROUNDS, bodies, outputs, start


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


def test_a_node_with_a_redis_goes_on_where_a_former_process_of_its_name_was(tmp_path: Any) -> None:
    server = ValkeyServer(tmp_path / "valkey").start()
    try:
        (added,) = bodies("g-set", [{"type": "add", "element": 7}], "--redis", server.url)
        (read,) = bodies("g-set", [{"type": "read"}], "--redis", server.url)
    finally:
        server.stop()
    assert (added["type"], read["value"]) == ("add_ok", [7])

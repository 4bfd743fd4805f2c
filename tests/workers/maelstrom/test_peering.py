"""How deltas travel, seen at one node's stdin and stdout."""

from __future__ import annotations

import json

from crdt_core.codec.deltas import encode_delta
from crdt_core.codec.messages import Push, encode_message
from crdt_core.lattice.clocks import Stamp, VersionVector
from crdt_core.replica.replica import Replica
from tests.invocations import command
from tests.workers.maelstrom.nodes import outputs

NODES = ["n1", "n2", "n3", "n4", "n5", "n6"]
NOW = Stamp(1, 0)
READ = {"type": "read", "msg_id": 2}


def said_by(node: str, *received: tuple[str, dict]) -> list[dict]:
    """All that `node` of six says to `received`, from the sender named with each."""
    init = {"type": "init", "msg_id": 1, "node_id": node, "node_ids": NODES}
    lines = [json.dumps({"src": src, "dest": node, "body": body}) for src, body in [("c0", init), *received]]
    return [json.loads(line) for line in outputs("g-set", lines)]


def write(replica: Replica, element: bytes) -> str:
    """The delta of an add at `replica`."""
    command("DELTAIC.SET.ADD", b"maelstrom", element, "KIND", "gset").run(replica, NOW)
    delta = replica.commit(NOW)
    assert delta is not None
    return encode_delta(delta).decode()


def deltas_to(said: list[dict]) -> dict[str, list[str]]:
    return {line["dest"]: line["body"]["deltas"] for line in said if line["body"]["type"] == "deltaic_deltas"}


def test_the_hub_passes_a_delta_on_once_to_all_but_its_writer():
    delta = write(Replica("n3"), b"7")
    told = ("n3", {"type": "deltaic_deltas", "deltas": [delta]})
    said = said_by("n1", told, told, ("c1", READ), told)
    assert deltas_to(said) == {node: [delta] for node in ("n2", "n4", "n5", "n6")}


def test_the_hub_passes_on_what_a_round_had_brought_it_before():
    """It used to take such a delta for known to all: everything that built on it then waited for a round, a second."""
    writer = Replica("n3")
    delta = write(writer, b"7")
    push = encode_message(Push("n3", "n3-1", writer.patch(VersionVector(), NOW))).decode()
    said = said_by(
        "n1",
        ("n3", {"type": "deltaic_message", "message": push}),
        ("c1", READ),
        ("n3", {"type": "deltaic_deltas", "deltas": [delta]}),
    )
    assert [line["body"]["value"] for line in said if line["body"]["type"] == "read_ok"] == [[7]]
    assert deltas_to(said) == {node: [delta] for node in ("n2", "n4", "n5", "n6")}


def test_others_tell_the_hub_alone():
    said = said_by("n4", ("c1", {"type": "add", "msg_id": 2, "element": 1}))
    assert list(deltas_to(said)) == ["n1"]


def test_a_delta_waits_for_what_it_builds_on():
    writer, other = Replica("n3"), Replica("n5")
    first = write(writer, b"1")
    push = encode_message(Push("n3", "n3-1", writer.patch(VersionVector(), NOW))).decode()
    other.join(writer.patch(VersionVector(), NOW))
    second = write(other, b"2")
    read, again = READ, {**READ, "msg_id": 3}
    said = said_by(
        "n4",
        ("n1", {"type": "deltaic_deltas", "deltas": [second]}),
        ("c1", read),
        ("n3", {"type": "deltaic_message", "message": push}),
        ("n1", {"type": "deltaic_deltas", "deltas": [first]}),
        ("c1", again),
        ("c1", again),
        ("c1", again),
    )
    shown = [line["body"]["value"] for line in said if line["body"]["type"] == "read_ok"]
    assert shown[0] == []
    assert shown[-1] == [1, 2]

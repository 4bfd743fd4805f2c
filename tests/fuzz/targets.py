"""Everything that reads what somebody else wrote, as functions of bytes: each returns, or raises an error of the tree.

A target that returns has also lived with what it took in: what was read can be written and read again, and a node goes
on working.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core import library
from crdt_core.codec.deltas import decode_delta, encode_delta
from crdt_core.codec.header import decode_header, encode_header
from crdt_core.codec.messages import decode_message, encode_message
from crdt_core.codec.patches import decode_patch, encode_patch
from crdt_core.codec.records import decode_object, decode_part, encode_part
from crdt_core.errors import Malformed, PeerError, SettingsError
from crdt_core.lattice.clocks import HybridClock, Stamp, VersionVector
from crdt_core.lattice.deltas import Patch
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.node.events import Call, DeltasRead, JobAnswer, MessagesRead, PatchOffered, Reply, Send, Tick
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from crdt_core.types import TYPES
from crdt_core.types.object import Object
from tests.crdt_core.types.models.wire import delta_value, parts_value, patch_value, records, siblings_values
from tests.fuzz.mutations import HOSTILE, HOSTILE_TOML
from tests.invocations import command
from workers.config.loading import load_settings
from workers.config.redis_url import options_of, redacted
from workers.config.settings import FleetSettings
from workers.maelstrom.protocol import parse
from workers.replication.skew import read_heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """`take` is given spoilt versions of `seeds`; `errors` are what it may raise."""

    take: Callable[[bytes], None]
    seeds: list[bytes]
    errors: tuple[type[Exception], ...] = (Malformed,)
    hostile: tuple[bytes, ...] = HOSTILE


DELTA = orjson.dumps(delta_value())
DELTAS = [DELTA, *(orjson.dumps(delta_value([name])) for name in TYPES)]
PARTS = orjson.dumps(parts_value())
PATCH = orjson.dumps(patch_value())
FULL = orjson.dumps(patch_value(since=None))
FROM_N1 = orjson.dumps(patch_value(since=None, origin="n1"))
PATCHES = [orjson.dumps(patch_value([name], since=since)) for name in TYPES for since in ({"n1": 2}, None)]

MESSAGES = [
    b'{"v":1,"kind":"ask","from":"n1","round":"r","clock":{"n1":3,"n2":1}}',
    b'{"v":1,"kind":"answer","from":"n1","round":"r","patch":' + FROM_N1 + b"}",
    b'{"v":1,"kind":"push","from":"n2","round":"r","patch":' + FULL + b"}",
    b'{"v":1,"kind":"push","from":"n2","round":"r","after":["t",1],"patch":' + FULL + b"}",
    b'{"v":1,"kind":"chunk","from":"n2","round":"r","transfer":"t","number":0,"done":1,"of":7,"parts":' + PARTS + b"}",
    b'{"v":1,"kind":"more","from":"n2","round":"r","transfer":"t","number":1,"clock":{"n1":3}}',
    b'{"v":1,"kind":"admit","from":"n2","replica":"n2.1f","grpc":"h:1","redis":"redis://h"}',
    b'{"v":1,"kind":"done","from":"n2","round":"r","new":3}',
    b'{"v":1,"kind":"round","round":"r","peers":["n1","n2"],"answer_to":"deltaic:{observer}:answer:1"}',
    b'{"v":1,"kind":"compact","clocks":{"n1":{"n1":3},"n2":{}},"absent":["n2"],"answer_to":"deltaic:{observer}:answer:2"}',
]

HEADERS = [
    b'{"clock":"{\\"n1\\":4,\\"n3\\":1}","stable":"{\\"n1\\":3}","digest":"d3997b629729f449","hlc":"[1763700000000,0]"}',
    b'{"clock":"{}","stable":"{}","digest":"0000000000000000","hlc":"[0,0]","turn":"7"}',
]

SIBLINGS = [orjson.dumps(value) for name in TYPES for value in siblings_values(name)]

KINDS = [getattr(library, name) for name in library.__all__]

HEARTBEAT = b'{"grpc":"h:1","pid":7,"redis_ms":1763700000000,"beat_ms":1763700000000}'

OBJECTS = [
    *(record for name in TYPES for record in records(name)),
    b'{"type":"orset","clears":{"n2:4":{"n1":3,"n2":3}},"rivals":[{"type":"gset"},{"type":"ewflag","parts":{"":{"n1:1":true}}}]}',
]

SETTINGS = b"""[nodes.n1]
grpc = "127.0.0.1:7101"
redis = "redis://user:pass@127.0.0.1:7000/0"
bind = "[::]:7101"
[nodes.n2]
grpc = "localhost:7102"
redis = "rediss://127.0.0.1:7000/0?ssl_ca_certs=/ca.pem"
jobs = "unix:///tmp/valkey.sock?db=2"
[gossip]
interval_s = 5
fanout = 3
[policies."ban:"]
sets = "remove-wins"
[limits]
key_bytes_max = 10
message_bytes_max = 100000
[security]
password = "secret"
grpc_certificate = "/c.pem"
grpc_key = "/k.pem"
[clock]
skew_warn_ms = 5
[valkey]
embedded = true
directory = "/tmp/x"
appendfsync = "always"
"""

LINES = [
    b'{"src":"c1","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1","n2"]}}',
    b'{"src":"c1","dest":"n1","body":{"type":"add","msg_id":2,"element":[1,{"a":null}],"delta":3}}',
    b'{"src":"c1","dest":"n1","body":{"type":"deltaic_deltas","deltas":["' + DELTA.replace(b'"', b'\\"') + b'"]}}',
]


def take_delta(data: bytes) -> None:
    delta = decode_delta(data)
    assert decode_delta(encode_delta(delta)) == delta


def take_patch(data: bytes) -> None:
    patch = decode_patch(data)
    again = decode_patch(encode_patch(patch))
    assert (again.clock, again.since, len(again.parts)) == (patch.clock, patch.since, len(patch.parts))


def take_message(data: bytes) -> None:
    message = decode_message(data)
    assert encode_message(decode_message(encode_message(message))) == encode_message(message)


def take_header(data: bytes) -> None:
    """The fields of a header hash, as JSON: what a hash holds is names and bytes, each of which may be anything."""
    fields = _object(data)
    raw = {name.encode("utf-8", "replace"): _raw(value) for name, value in fields.items()}
    header = decode_header(raw)
    assert decode_header({name.encode(): value for name, value in encode_header(header).items()}) == header


def take_object(data: bytes) -> None:
    replica = Replica("observer")
    head = decode_object(b"key", data, replica.catalogue.replica_index)
    clock = VersionVector({"n1": 9, "n2": 9, "n3": 9})
    replica.restore(clock, VersionVector(), 0, [head])
    _lives_on(replica)


def take_part(data: bytes) -> None:
    for type_ in TYPES.values():
        replica_index, link = ReplicaIndex(), Object(b"key", type_)
        with suppress(Malformed):
            siblings = decode_part(link, data, replica_index)
            assert decode_part(link, encode_part(link.type, siblings, replica_index), replica_index) == siblings


def take_state(data: bytes) -> None:
    """Library states: whatever the standard library's JSON reads, which is more than orjson does."""
    with suppress(ValueError, RecursionError):  # no JSON: nobody would have got so far
        state = json.loads(data)
        for kind in KINDS:
            with suppress(Malformed):
                taken = kind.from_state("n9", state)
                taken.value()
                assert kind.from_state("n9", json.loads(json.dumps(taken.to_state()))).value() == taken.value()
                taken.clear()


def take_settings(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        Path(file.name).write_bytes(data)
        settings = load_settings(Path(file.name))
    assert isinstance(settings, FleetSettings)
    for node in settings.nodes.values():
        options_of(node.redis)
        assert "pass" not in redacted(node.redis) or "pass@" not in node.redis


def take_line(data: bytes) -> None:
    request = parse(data)
    assert isinstance(request.src, str)
    json.dumps(dict(request.body))


def take_url(data: bytes) -> None:
    url = data.decode("utf-8", "replace")
    redacted(url)
    options_of(url)


def take_heartbeat(data: bytes) -> None:
    beat = read_heartbeat(data, (1_763_700_000, 5))
    assert beat is None or beat.age_ms >= 0


def take_log_entry(data: bytes) -> None:
    """A peer's log: the entry that follows, whatever it says."""
    node = _node()
    node.turn([DeltasRead("n1", [("3-0", data)], "token")], wall_ms=1000, monotonic_ms=1000)
    _goes_on(node)


def take_inbox_entry(data: bytes) -> None:
    node = _node()
    turn = node.turn([MessagesRead([("1-0", data)])], wall_ms=1000, monotonic_ms=1000)
    assert turn.commit.acknowledged == ["1-0"]
    for quarantined in turn.commit.quarantined:
        assert quarantined.reason.encode()
    for effect in turn.effects:
        if isinstance(effect, Send):
            encode_message(effect.message)
        elif isinstance(effect, JobAnswer):
            orjson.dumps(effect.result)
    _goes_on(node)


def take_offer(data: bytes) -> None:
    """A caller's patch."""
    node = _node()
    (reply,) = (
        e
        for e in node.turn([PatchOffered(decode_patch(data), "token")], wall_ms=1000, monotonic_ms=1000).effects
        if isinstance(e, Reply)
    )
    _goes_on(node)
    if reply.error is not None:
        raise reply.error


def _node() -> Node:
    node = Node(
        "observer", Replica("observer", founders=["n1", "n2", "observer"]), "session", hlc=HybridClock(Stamp(1, 0))
    )
    known = VersionVector({"n1": 2, "n2": 1})
    node.replica.join(Patch("n2", None, known, VersionVector(), Stamp(0, 0), ()))
    return node


def _goes_on(node: Node) -> None:
    """Fails unless the node can still be written and read, commits, and sends its state on."""
    node.turn([Tick()], wall_ms=10_000_000, monotonic_ms=10_000_000)
    calls = [
        command("DELTAIC.COUNTER.ADD", b"fresh", 1),
        command("SADD", b"more", b"x"),
        *(command("DELTAIC.INSPECT", name.encode()) for name in TYPES),
    ]
    turn = node.turn(
        [Call(operation, number) for number, operation in enumerate(calls)], wall_ms=10_000_001, monotonic_ms=10_000_001
    )
    replies = {effect.token: effect for effect in turn.effects if isinstance(effect, Reply)}
    assert (replies[0].result, replies[1].result) == (1, 1)
    assert turn.commit.delta is not None
    decode_delta(bytes(turn.commit.delta))
    decode_header({name.encode(): value for name, value in turn.commit.header.items()})
    _lives_on(node.replica)


def _lives_on(replica: Replica) -> None:
    state = encode_patch(replica.patch(None, Stamp(0, 0)))
    other = Replica("other")
    other.join(decode_patch(state))
    assert other.clock == replica.clock
    replica.take_changes()
    replica.stabilise(replica.clock, 1000)
    replica.take_changes()


def _library_state(kind: Any) -> bytes:
    """The state of one object, with every example of its type."""
    parts = [["", *part[1:]] for part in parts_value([kind.type.name])]
    return orjson.dumps(patch_value(since=None, parts=parts))


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
        orjson.dumps(value)  # it writes less deeply than it reads
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise Malformed("header", "no JSON") from error
    if not isinstance(value, dict):
        raise Malformed("header", "no hash")
    return value


def _raw(value: Any) -> bytes:
    return value.encode("utf-8", "replace") if isinstance(value, str) else orjson.dumps(value)


TARGETS: dict[str, Target] = {
    "delta": Target(take_delta, DELTAS),
    "patch": Target(take_patch, [PATCH, FULL, *PATCHES]),
    "message": Target(take_message, MESSAGES),
    "header": Target(take_header, HEADERS),
    "object": Target(take_object, OBJECTS),
    "part": Target(take_part, SIBLINGS),
    "state": Target(take_state, [_library_state(kind) for kind in KINDS]),
    "settings": Target(take_settings, [SETTINGS], (SettingsError,), HOSTILE_TOML),
    "maelstrom line": Target(take_line, LINES, (ValueError, RecursionError)),
    "redis url": Target(take_url, [b"rediss://u:p@h:1/2?ssl_ca_certs=/x", b"unix://:p@/s?db=1"], (ValueError,)),
    "heartbeat": Target(take_heartbeat, [HEARTBEAT], ()),
    "log entry": Target(take_log_entry, DELTAS, ()),
    "inbox entry": Target(take_inbox_entry, MESSAGES, ()),
    "caller's patch": Target(take_offer, [FULL, PATCH, *PATCHES], (PeerError,)),
}

"""Junk into everything a real node reads: gRPC fields, its inbox, its peers' logs, its links, headers and heartbeats.

Whatever it is, the workers live on, agree in the end, and have set aside what they could not understand.
"""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING, Any

import grpc
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.client import channel_to
from tests.fleet import Fleet, code_of
from tests.fuzz.mutations import HOSTILE, mutated
from tests.fuzz.targets import DELTA, FULL, MESSAGES
from tests.support import DELTAIC, wait_until
from workers.rpc import deltaic_pb2 as pb
from workers.wire.keys import AUDIT, DELTA_FIELD, FLEET, MESSAGE_FIELD

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLERS_FAULT = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}

JUNK = [
    message.replace(b"n1", b"x1") if b"parts" not in message else message.replace(b"n1", b"x1").replace(b"n2", b"x2")
    for message in MESSAGES
    if b"admit" not in message
]
"""Without what is no junk at all: commits of a member that it has not made, a new id that it asks for. Those who can
write to a node's Redis are believed."""

ODD = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "\0", "\0" * 1024, "a\nb", "\u202e", "{n1}", "deltaic:{n1}", "*", "é" * 600, "x" * 70_000, "\uffff"]
    ),
    st.sampled_from([token.decode("utf-8", "replace") for token in HOSTILE if len(token) < 1000]),
)
NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 1, -1, 2**31, 2**53, 2**63 - 1, -(2**63)]))
KINDS = st.integers(-3, 9)
BOUNDED = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("pair"), nodes=2, valkey_each=True) as fleet:
        yield fleet
        live_on(fleet)


def live_on(fleet: Fleet) -> None:
    """Fails unless both workers, the very processes that were started, still work and agree."""
    before = fleet["n1"].counter("lives on")
    fleet["n1"].increment("lives on")
    fleet["n2"].increment("lives on")
    fleet.agree(timeout=40)
    assert fleet.everywhere("counter", "lives on") == [before + 2] * 2
    assert [node.running for node in fleet.nodes.values()] == [True, True]


REQUESTS: dict[str, st.SearchStrategy[Any]] = {
    "CRDTService/IncrementCounter": st.builds(pb.IncrementCounterRequest, counter_id=ODD, amount=NUMBERS, kind=KINDS),
    "CRDTService/DecrementCounter": st.builds(pb.DecrementCounterRequest, counter_id=ODD, amount=NUMBERS, kind=KINDS),
    "CRDTService/AddToSet": st.builds(pb.AddToSetRequest, set_id=ODD, element=ODD, kind=KINDS),
    "CRDTService/RemoveFromSet": st.builds(pb.RemoveFromSetRequest, set_id=ODD, element=ODD, kind=KINDS),
    "CRDTService/GetSet": st.builds(pb.GetSetRequest, set_id=ODD),
    "CRDTService/SetRegister": st.builds(
        pb.SetRegisterRequest, register_id=ODD, value=ODD, timestamp=st.one_of(st.none(), NUMBERS), kind=KINDS
    ),
    "CRDTService/GetRegister": st.builds(pb.GetRegisterRequest, register_id=ODD),
    "CRDTService/SetFlag": st.builds(pb.SetFlagRequest, flag_id=ODD, enabled=st.booleans(), kind=KINDS),
    "CRDTService/Delete": st.builds(pb.DeleteRequest, key=ODD),
    "ReplicationService/Merge": st.builds(pb.MergeRequest, patch=mutated([FULL.replace(b'"n', b'"x')])),
    "ReplicationService/GetPatch": st.builds(
        pb.GetPatchRequest, since=st.dictionaries(ODD, st.integers(0, 2**64 - 1), max_size=5)
    ),
    "ReplicationService/SyncAll": st.builds(pb.SyncAllRequest, peers=st.lists(ODD, min_size=1, max_size=5)),
    "ControlService/Partition": st.builds(pb.PartitionRequest, peers=st.lists(ODD, min_size=1, max_size=5)),
    "ControlService/Heal": st.builds(pb.HealRequest, peers=st.lists(ODD, min_size=1, max_size=5)),
    "ControlService/Inspect": st.builds(pb.InspectRequest, key=ODD),
}


def called(channel: grpc.Channel, method: str, request: bytes) -> grpc.StatusCode:
    """What becomes of a call with the bytes `request`."""
    ended = channel.unary_unary(f"/deltaic.v1.{method}").future(request, timeout=20)
    code: grpc.StatusCode = ended.code()
    assert len(ended.details() or "") <= 1000
    return code


@pytest.mark.parametrize("method", REQUESTS)
def test_odd_fields_are_taken_or_are_the_caller_s_fault(pair: Fleet, method: str) -> None:
    with channel_to(pair["n1"].address) as channel:

        @BOUNDED
        @given(REQUESTS[method])
        def run(request: Any) -> None:
            code = called(channel, method, request.SerializeToString())
            assert code in {grpc.StatusCode.OK, *CALLERS_FAULT}, code

        run()


@pytest.mark.parametrize("method", REQUESTS)
def test_bytes_that_are_no_request_are_refused(pair: Fleet, method: str) -> None:
    chance = random.Random(method)
    with channel_to(pair["n1"].address) as channel:
        for _ in range(20):
            code = called(channel, method, chance.randbytes(chance.randrange(1, 80)))
            assert code in {grpc.StatusCode.OK, *CALLERS_FAULT}, code


def test_junk_in_an_inbox_is_set_aside_with_its_reason(pair: Fleet) -> None:
    redis, key = pair.redis("n1"), pair["n1"].keys.inbox
    before = len(pair.quarantined("n1"))
    sent = 0

    @BOUNDED
    @given(mutated(JUNK))
    def run(data: bytes) -> None:
        nonlocal sent
        redis.xadd(key, {MESSAGE_FIELD: data})
        sent += 1

    run()
    for fields in ({b"x": b"no message"}, {MESSAGE_FIELD: b""}, {MESSAGE_FIELD: b"\0" * 100_000, b"y": b"z"}):
        redis.xadd(key, fields)
    wait_until(lambda: redis.xlen(key) == 0, 30, "the inbox to be read")
    quarantined = pair.quarantined("n1")[before:]
    assert len(quarantined) > sent // 3
    assert all(item["source"] == "inbox" and item["reason"] and item["entry"] for item in quarantined)
    live_on(pair)


def test_junk_in_a_peer_s_log_is_set_aside_and_got_round(pair: Fleet) -> None:
    """Behind it stand the peer's own entries, which are fetched by another way."""
    redis, key = pair.redis("n2"), pair["n2"].keys.log
    chance = random.Random(4)
    for round_ in range(6):
        counter = pair["n2"].clock().get("n2", 0) + 1
        junk = chance.choice([DELTA, b"", b"[" * 5000, b"\xff" * 100, DELTA.replace(b"n1:3", b"n2:%d" % counter)])
        redis.xadd(key, {DELTA_FIELD: junk}, id=f"{counter + chance.randrange(3)}-{chance.randrange(2)}")
        pair["n2"].increment(f"behind junk {round_}")
        pair.agree(timeout=40)
    assert any(item["source"] in {"log of n2", "own log"} for name in pair.nodes for item in pair.quarantined(name))
    live_on(pair)


def test_junk_in_links_heartbeats_and_reports_is_neither_obeyed_nor_shown(pair: Fleet) -> None:
    for name in pair.nodes:
        redis, keys = pair.redis(name), pair[name].keys
        redis.hset(keys.links, mapping={b"\xff": b"paused", "nobody": "\0", "n1": "PAUSED", "n2": b"\xfe"})
        for junk in (b"\xff", b"[]", b'{"at_ms":"x"}', b'{"at_ms":1,"peers_failed":[7]}', b"[" * 2000):
            redis.hset(AUDIT, name, junk)
            redis.hset(keys.header, "round", junk)
            redis.hset(FLEET, name, junk)
            shown = subprocess.run(
                [DELTAIC, "-f", pair.directory / "fleet.toml", "status"], capture_output=True, text=True, timeout=30
            )
            assert shown.returncode == 0, shown.stderr
            assert "2 of 2 nodes up" in shown.stdout
    redis.hdel(AUDIT, *pair.nodes)
    live_on(pair)


def test_a_header_of_a_peer_that_makes_no_sense_stops_nobody(pair: Fleet) -> None:
    redis, header = pair.redis("n2"), pair["n2"].keys.header
    kept = redis.hget(header, "clock")
    claim = {"v": 1, "origin": "n2", "since": None, "clock": {"n2": 10**9}, "stable": {}, "hlc": [0, 0], "parts": []}
    for junk in (b"\xff", b"[]", b'{"n1":0}', b"[" * 5000, orjson.dumps({f"x{i}": 1 for i in range(5000)})):
        redis.hset(header, "clock", junk)
        with pytest.raises(grpc.RpcError) as refused:
            pair["n1"].merge(claim)
        assert code_of(refused.value) is grpc.StatusCode.UNAVAILABLE
        shown = subprocess.run(
            [DELTAIC, "-f", pair.directory / "fleet.toml", "status"], capture_output=True, text=True, timeout=30
        )
        assert "Traceback" not in shown.stderr
    redis.hset(header, "clock", kept)
    live_on(pair)

"""What is large without being malformed, or deep, or endless: bounded in time and memory, and never a surprise."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from crdt_core.codec.clocks import decode_clock
from crdt_core.codec.deltas import decode_delta
from crdt_core.codec.header import decode_header
from crdt_core.codec.messages import Done, decode_message, encode_message
from crdt_core.codec.patches import decode_patch
from crdt_core.errors import Malformed, SettingsError, UnknownNode, brief
from crdt_core.lattice.clocks import HybridClock, Stamp, VersionVector
from crdt_core.lattice.replica_index import REPLICAS_MAX
from crdt_core.library import ORSet
from crdt_core.node.events import Call, DeltasRead, MessagesRead, PatchAsked, PatchOffered, Reply
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from tests.invocations import command
from workers.config.loading import checked, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DIGITS = "9" * 1_000_000
DEEP = 1_000_000


def patch(**fields: Any) -> bytes:
    base = {"v": 1, "origin": "x", "since": None, "clock": {"x": 1}, "stable": {}, "hlc": [0, 0], "parts": []}
    return orjson.dumps({**base, **fields})


def message(**fields: Any) -> bytes:
    pushed = orjson.Fragment(patch(origin="n2", **fields))
    return orjson.dumps({"v": 1, "kind": "push", "from": "n2", "round": "r", "patch": pushed})


def node(**options: Any) -> Node:
    return Node(
        "n1", Replica("n1", founders=["n1", "n2", "n3"]), "s", options=NodeOptions(**options), hlc=HybridClock()
    )


def still_works(machine: Node) -> bool:
    (reply,) = machine.turn(
        [Call(command("DELTAIC.COUNTER.ADD", b"hits", 1), "token")], wall_ms=1, monotonic_ms=1
    ).effects
    assert isinstance(reply, Reply)
    return bool(reply.result)


def seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


# Deep, and endless.


@pytest.mark.parametrize("decode", [decode_delta, decode_patch, decode_message])
@pytest.mark.parametrize("data", [b"[" * DEEP, b'{"a":' * DEEP, b'{"v":' + b"[" * DEEP + b"]" * DEEP + b"}"])
def test_nesting_a_million_deep_is_malformed(decode: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


@pytest.mark.parametrize("number", [DIGITS, "-" + DIGITS, "1e" + DIGITS, "0." + DIGITS])
@pytest.mark.parametrize("place", ["v", "clock", "hlc", "since", "stable", "parts", "origin"])
def test_numbers_of_a_million_digits_are_malformed(place: str, number: str) -> None:
    """Python refuses to spell out an integer of more than 4300 digits, by a ValueError that is none of ours."""
    for spelt in (number, f"[{number},0]", f'{{"x":{number}}}', f'[["k","pncounter","x",{{"x:1":[{number},0]}}]]'):
        with pytest.raises(Malformed):
            decode_patch(patch(**{place: "HERE"}).replace(b'"HERE"', spelt.encode()))


def test_numbers_of_a_million_digits_in_a_library_state_are_malformed() -> None:
    state = ORSet("a").to_state()
    huge = 10**1_000_000
    for spoilt in ({"hlc": [huge, 0]}, {"clock": {"a": huge}}, {"v": huge}, {"parts": [huge]}, {"since": huge}):
        with pytest.raises(Malformed):
            ORSet.from_state("b", {**state, **spoilt})


def test_dots_and_digests_of_a_million_digits_are_malformed() -> None:
    with pytest.raises(Malformed):
        decode_patch(patch(parts=[["k", "orset", "a", {f"x:{DIGITS}": True}]]))
    fields = {b"clock": b"{}", b"stable": b"{}", b"hlc": b"[0,0]"}
    for digest in (b"f" * 1_000_000, b"-000000000000001", b"0x00000000000001", b"0000_0000_0000_0", b"", b" " * 16):
        with pytest.raises(Malformed):
            decode_header({**fields, b"digest": digest})


def test_lone_surrogates_in_a_library_state_are_malformed() -> None:
    state = {"v": 1, "origin": "x", "since": None, "clock": {"x": 1}, "stable": {}, "hlc": [0, 0]}
    with pytest.raises(Malformed):
        ORSet.from_state("b", {**state, "parts": [["", "orset", "\ud800", {"x:1": True}]]})


def test_a_key_that_stands_twice_means_its_last_value_everywhere() -> None:
    """JSON leaves it open; what must not happen is that two readers take two meanings."""
    twice = patch(parts=[["k", "orset", "a", "HERE"]]).replace(b'"HERE"', b'{"x:1":true,"x:1":null}')
    assert decode_patch(twice).parts[0].siblings == {("x", 1): None}
    assert decode_patch(json.loads(twice)).parts == decode_patch(twice).parts


def test_counters_end_where_dots_do() -> None:
    """A clock could say more than any dot: such an entry could never be written, sent or packed."""
    assert decode_clock({"x": 10**15 - 1})
    for beyond in (10**15, 2**50, 2**53, 2**63 - 1, 2**63, 2**64, -1, 0, True, 1.0):
        with pytest.raises(Malformed):
            decode_clock({"x": beyond})


def test_what_peers_report_to_a_round_stays_a_number_that_can_be_told() -> None:
    """The sum over all peers is a 64-bit field of the answer to SyncAll: two peers used to be enough to leave it."""
    told = Done("n2", "r", 10**15 - 1)
    assert decode_message(encode_message(told)) == told
    for new in (10**15, 2**63, 2**64 - 1):
        with pytest.raises(Malformed):
            decode_message(encode_message(Done("n2", "r", new)))


# Many replica ids.


def test_a_clock_of_a_million_replicas_is_malformed_at_once() -> None:
    clock = {f"x{number}": 1 for number in range(1_000_000)}
    data = patch(clock=clock)

    def refused() -> None:
        with pytest.raises(Malformed):
            decode_patch(data)

    assert seconds(refused) < 20 * seconds(lambda: orjson.loads(data)) + 1


def test_a_caller_cannot_use_up_the_numbers_of_replicas_by_asking() -> None:
    """A clock of unknown replicas in GetPatch was numbered; 4096 of them, and the next stopped the worker."""
    machine = node()
    for attempt in range(3):
        asked = VersionVector({f"x{attempt}-{number}": 1 for number in range(REPLICAS_MAX)})
        machine.turn([PatchAsked(asked, "token", 1 << 20)], wall_ms=1, monotonic_ms=1)
    assert machine.replica.catalogue.replica_index.ids == ["n1", "n2", "n3"], "its members, and nobody else"
    assert still_works(machine)


def test_a_patch_with_more_replicas_than_fit_is_set_aside_and_the_node_goes_on() -> None:
    machine = node()
    many = {f"x{number}": 1 for number in range(REPLICAS_MAX)}
    machine.turn(
        [MessagesRead([("1-0", message(clock={f"y{number}": 1 for number in range(2000)}))])], wall_ms=1, monotonic_ms=1
    )
    turn = machine.turn([MessagesRead([("2-0", message(clock=many))])], wall_ms=1, monotonic_ms=1)
    assert [item.entry for item in turn.commit.quarantined] == ["2-0"]
    assert "more than 4096" in turn.commit.quarantined[0].reason
    assert len(machine.replica.clock) == 2000
    assert still_works(machine)


def test_a_delta_of_a_replica_too_many_is_malformed_and_changes_nothing() -> None:
    """It raised where nothing caught it, each time the log was read: the worker could not even be started again."""
    replica = Replica("n1")
    replica.join(decode_patch(patch(clock={f"x{number}": 1 for number in range(REPLICAS_MAX)})))
    delta = {"v": 1, "dot": "n3:1", "deps": {}, "hlc": [0, 0], "writes": [["k", "orset", "a", True]]}
    with pytest.raises(Malformed):
        replica.apply(decode_delta(orjson.dumps(delta)))
    assert replica.clock["n3"] == 0
    assert not replica.take_changes()


def test_members_have_their_numbers_before_anybody_else_may_take_them() -> None:
    """A patch full of invented replicas must not keep the fleet's own nodes out."""
    machine = node()
    assert set(machine.replica.catalogue.replica_index.ids) >= {"n1", "n2", "n3"}
    room = REPLICAS_MAX - len(machine.replica.catalogue.replica_index.ids)
    filler = {f"x{number}": 1 for number in range(room)}
    machine.turn([MessagesRead([("1-0", message(clock=filler))])], wall_ms=1, monotonic_ms=1)
    assert len(machine.replica.clock) == room
    for peer in ("n2", "n3"):
        delta = {"v": 1, "dot": f"{peer}:1", "deps": {}, "hlc": [0, 0], "writes": [["k", "orset", peer, True]]}
        machine.turn([DeltasRead(peer, [("1-0", orjson.dumps(delta))], "token")], wall_ms=1, monotonic_ms=1)
    assert machine.replica.value(b"k") == [b"n2", b"n3"]
    assert still_works(machine)


def test_callers_patches_are_bounded_in_the_replicas_they_bring() -> None:
    machine = node(strangers_max=10)

    def offer(clock: dict[str, int]) -> Exception | None:
        effects = machine.turn(
            [PatchOffered(decode_patch(patch(origin="x", clock=clock)), "token")], wall_ms=1, monotonic_ms=1
        ).effects
        (reply,) = (effect for effect in effects if isinstance(effect, Reply))
        return reply.error

    assert offer({f"x{number}": 1 for number in range(10)}) is None
    assert "limits.foreign_replicas_max" in str(offer({"one-more": 1}))
    assert offer({"x1": 7, "n2": 3}) is None, "members are no strangers"
    assert "limits.foreign_replicas_max" in str(offer({"n3.2": 1})), "an id is a member's once that was recorded"
    assert len(machine.replica.clock) == 11


# Many parts.


def tiny_parts(count: int) -> bytes:
    return patch(parts=[["k", "orset", str(number), {"x:1": True}] for number in range(count)])


def test_a_patch_of_very_many_tiny_parts_takes_time_and_memory_in_proportion() -> None:
    small, large = tiny_parts(20_000), tiny_parts(300_000)
    decode_patch(small)
    unit = min(seconds(lambda: decode_patch(small)) for _ in range(3))
    assert seconds(lambda: decode_patch(large)) < 15 * unit * 3 + 5
    tracemalloc.start()
    try:
        machine = node()
        machine.turn([PatchOffered(decode_patch(small), "token")], wall_ms=1, monotonic_ms=1)
        while machine.large.prepare():
            pass
        machine.turn([], wall_ms=1, monotonic_ms=1)
        assert tracemalloc.get_traced_memory()[1] < 100 * len(small)
    finally:
        tracemalloc.stop()
    assert len(machine.replica.catalogue.heads[b"k"].parts) == 20_000


def test_clears_with_long_clocks_cost_what_their_bytes_cost() -> None:
    clock = {f"x{number}": 2 for number in range(1000)}
    seen = {**clock, "x0": 1}
    del seen["x1"]
    parts = [[f"k{number}", "orset", None, {"x0:2": seen}] for number in range(100)]
    data = patch(clock=clock, parts=parts)
    machine = node(strangers_max=2000)

    def offer() -> None:
        machine.turn([PatchOffered(decode_patch(data), "token")], wall_ms=1, monotonic_ms=1)

    assert seconds(offer) < 10
    assert len(machine.replica.catalogue.heads) == 100


def test_a_large_base64_is_taken_or_refused_at_once() -> None:
    text = "QUFB" * 2_000_000
    assert (
        len(decode_patch(patch(parts=[["k", "orset", {"b64": text}, {"x:1": True}]])).parts[0].part or b"") == 6_000_000
    )
    with pytest.raises(Malformed) as refused:
        decode_patch(patch(parts=[["k", "orset", {"b64": text + "!"}, {"x:1": True}]]))
    assert len(str(refused.value)) < 300


# What errors say.


def test_an_error_s_sentence_is_short_however_long_what_it_is_about() -> None:
    """It travels in a header of gRPC, which is bounded: one that was too long lost the status code with it."""
    clock = {f"replica-{number:05}": 1 for number in range(REPLICAS_MAX)}
    with pytest.raises(Malformed) as refused:
        decode_patch(patch(clock=clock, parts=[["k", "orset", "a", {"z:1": True}]]))
    assert len(str(refused.value)) < 300
    assert len(str(UnknownNode("n" * 1_000_000, ["n1"]))) < 300
    assert len(brief(["x" * 10_000] * 10_000)) < 1000


# Settings.


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 100_000, "a = " + "{a=" * 100_000, "a." * 3000 + "b = 1", f"a = {DIGITS}", "a = 1e" + DIGITS],
)
def test_a_fleet_file_deep_or_endless_is_a_settings_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as refused:
        load_settings(file)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("name", ["_env_file", "_cli_parse_args", "_secrets_dir", "self", "__pydantic_self__", "nodez"])
def test_what_is_no_section_is_refused_and_not_passed_on(name: str) -> None:
    """pydantic's constructor has options of its own: a fleet file could set them, and have it read other files."""
    with pytest.raises(SettingsError, match="no such section"):
        checked({name: "x", "nodes": {"n1": {"grpc": "h:1", "redis": "redis://h"}}})


def test_a_variable_that_is_no_json_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It came as an error of pydantic's own, with a traceback."""
    monkeypatch.setenv("DELTAIC_GOSSIP", "{")
    with pytest.raises(SettingsError, match="environment"):
        checked({"nodes": {"n1": {"grpc": "h:1", "redis": "redis://h"}}})


def test_stamps_at_the_end_of_time_do_not_move_the_hybrid_clock() -> None:
    machine = node()
    for ms in (2**63 - 1, 10**15):
        machine.turn([MessagesRead([("1-0", message(hlc=[ms, 2**63 - 1]))])], wall_ms=1000, monotonic_ms=1000)
    assert machine.hlc.last == Stamp(0, 0)
    assert machine.counts["stamps_refused"] == 2

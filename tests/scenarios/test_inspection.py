"""What `redis-cli` alone shows of a node: its values, dots, clock and log, as JSON, without a worker's help."""

from __future__ import annotations

import subprocess

import orjson
import pytest

from tests.support import program, wait_until
from workers.wire.keys import AUDIT, FLEET


@pytest.fixture
def cli(fleet):
    """What `redis-cli COMMAND...` prints, line by line."""
    path = program("redis-cli", "redis-tools")

    def run(*words: str | bytes) -> list[bytes]:
        command = [path, "-p", str(fleet.valkey.port), "--raw", *words]
        return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.splitlines()

    return run


def pairs(lines):
    return dict(zip(lines[::2], lines[1::2], strict=True))


def json_of(lines):
    (line,) = lines
    return orjson.loads(line)


def test_a_counter_is_one_field_with_a_share_for_each_node_that_wrote(fleet, cli, key):
    fleet["n1"].increment(key, 5)
    fleet["n1"].increment(key, 10)
    fleet.agree()
    fleet["n2"].decrement(key, 3)
    fleet.agree()
    for name, node in fleet.nodes.items():
        shown = json_of(cli("HGET", f"deltaic:{{{name}}}:state", key))
        assert shown == {
            "type": "pncounter",
            "parts": {
                "n1": {f"n1:{node.clock()['n1']}": [15, 0]},
                "n2": {f"n2:{node.clock()['n2']}": [0, 3]},
            },
        }
        assert cli("EXISTS", f"deltaic:{{{name}}}:obj:{key}") == [b"0"]


def test_a_set_is_a_hash_with_a_field_for_each_member_and_its_dots(fleet, cli, key):
    fleet["n1"].add(key, "apple")
    fleet.agree()
    fleet["n2"].add(key, "pear")
    fleet.agree()
    clock = fleet["n1"].clock()
    for name in fleet.nodes:
        assert json_of(cli("HGET", f"deltaic:{{{name}}}:state", key)) == {"type": "orset"}
        members = pairs(cli("HGETALL", f"deltaic:{{{name}}}:obj:{key}"))
        assert members == {b"apple": b'{"n1:%d":true}' % clock["n1"], b"pear": b'{"n2:%d":true}' % clock["n2"]}


def test_concurrent_adds_are_seen_side_by_side_and_a_removal_as_null(fleet, cli, key):
    fleet.cut(["n1"], ["n2", "n3", "n4", "n5"])
    fleet["n1"].add(key, "apple")
    fleet["n2"].add(key, "apple")
    fleet.heal()
    fleet.agree()
    clock = fleet["n1"].clock()
    members = f"deltaic:{{n3}}:obj:{key}"
    assert json_of(cli("HGET", members, "apple")) == {f"n1:{clock['n1']}": True, f"n2:{clock['n2']}": True}

    fleet["n3"].remove(key, "apple")
    fleet.agree()
    assert json_of(cli("HGET", members, "apple")) == {f"n3:{fleet['n1'].clock()['n3']}": None}
    assert fleet["n1"].elements(key) == []


def test_registers_show_their_values_and_stamps(fleet, cli, key):
    lww, multi = f"{key} lww", f"{key} multi"
    fleet["n1"].set(lww, "new", 2000)
    fleet.cut(["n1"], ["n2", "n3", "n4", "n5"])
    fleet["n1"].set(multi, "alice")
    fleet["n2"].set(multi, "bob")
    fleet.heal()
    fleet.agree()
    clock = fleet["n1"].clock()
    assert json_of(cli("HGET", "deltaic:{n4}:state", lww)) == {
        "type": "lwwregister",
        "parts": {"": {f"n1:{clock['n1'] - 1}": ["new", 2000, 0]}},
    }
    stored = json_of(cli("HGET", "deltaic:{n4}:state", multi))
    siblings = stored["parts"][""]
    assert stored["type"] == "mvregister"
    assert {dot: value for dot, (value, *_) in siblings.items()} == {
        f"n1:{clock['n1']}": "alice",
        f"n2:{clock['n2']}": "bob",
    }
    assert all(ms > 1_700_000_000_000 and logical >= 0 for _, ms, logical in siblings.values())


def test_the_header_shows_clock_digest_and_owner_of_every_node(fleet, cli, key):
    fleet["n1"].increment(key)
    fleet.agree()
    for name, node in fleet.nodes.items():
        header = pairs(cli("HGETALL", f"deltaic:{{{name}}}"))
        status = node.status()
        assert orjson.loads(header[b"clock"]) == dict(status.clock)
        assert header[b"clock"] == orjson.dumps(dict(sorted(status.clock.items()))), "canonical: sorted, no spaces"
        assert header[b"digest"].decode() == status.digest
        assert orjson.loads(header[b"stable"]) == dict(status.stable)
        assert header[b"replica"].decode() == name
        assert header[b"format"] == b"1"
        assert len(header[b"owner"]) == 8
        assert int(header[b"turn"]) > 0
        milliseconds, logical = orjson.loads(header[b"hlc"])
        assert milliseconds > 1_700_000_000_000
        assert logical >= 0


def test_the_log_shows_every_commit_under_its_counter_with_its_deps_and_writes(fleet, cli, key):
    fleet["n2"].increment(key, 2)
    fleet.agree()
    before = fleet["n1"].clock()
    fleet["n1"].add(f"{key} set", "apple")
    fleet["n1"].increment(key, 3)
    fleet["n1"].remove(f"{key} set", "apple")
    counter = before.get("n1", 0) + 1
    lines = cli("XRANGE", "deltaic:{n1}:log", f"{counter}-0", "+")
    entries = list(zip(lines[::3], lines[1::3], map(orjson.loads, lines[2::3]), strict=True))
    assert [(entry, field) for entry, field, _ in entries] == [(b"%d-0" % n, b"d") for n in range(counter, counter + 3)]
    deltas = [delta for _, _, delta in entries]
    assert [delta["dot"] for delta in deltas] == [f"n1:{n}" for n in range(counter, counter + 3)]
    assert [delta["deps"].get("n1", 0) for delta in deltas] == [counter - 1, counter, counter + 1]
    assert all(delta["deps"]["n2"] == before["n2"] and delta["v"] == 1 for delta in deltas)
    assert [delta["writes"] for delta in deltas] == [
        [[f"{key} set", "orset", "apple", True]],
        [[key, "pncounter", "n1", [3, 0]]],
        [[f"{key} set", "orset", "apple", None]],
    ]


def test_what_the_hashes_show_is_what_the_node_answers(fleet, cli, key):
    """`Inspect` and `redis-cli` are two ways to one truth."""
    fleet["n1"].add(key, "apple", "pear")
    fleet["n2"].remove(key, "apple")
    fleet.agree()
    seen = fleet["n5"].inspect(key)
    members = pairs(cli("HGETALL", f"deltaic:{{n5}}:obj:{key}"))
    assert orjson.loads(seen.siblings_json) == {part.decode(): orjson.loads(held) for part, held in members.items()}
    assert seen.type == json_of(cli("HGET", "deltaic:{n5}:state", key))["type"]


def test_an_object_of_another_type_under_the_same_key_stands_beside_it(fleet, cli, key):
    fleet.cut(["n1"], ["n2", "n3", "n4", "n5"])
    fleet["n1"].add(key, "apple")
    fleet["n2"].increment(key, 3)
    fleet.heal()
    fleet.agree()
    clock = fleet["n1"].clock()
    counter = {"type": "pncounter", "parts": {"n2": {f"n2:{clock['n2']}": [3, 0]}}}
    assert json_of(cli("HGET", "deltaic:{n1}:state", key)) == {"type": "orset", "rivals": [counter]}
    assert json_of(cli("HGET", f"deltaic:{{n1}}:obj:{key}", "apple")) == {f"n1:{clock['n1']}": True}
    assert json_of(cli("HGET", "deltaic:{n2}:state", key)) == {**counter, "rivals": [{"type": "orset"}]}
    assert json_of(cli("HGET", f"deltaic:{{n2}}:rival:orset:{key}", "apple")) == {f"n1:{clock['n1']}": True}


@pytest.mark.parametrize("element", ["", "nul\0nul", "two\nlines", '{"b64":"//8="}', "n\u00e9 \U0001f34e", "a:b{c}"])
def test_any_text_is_a_key_and_a_member(fleet, key, element):
    name = f"{key} {element}"
    fleet["n1"].add(name, f"member {element}")
    fleet.agree()
    assert fleet.everywhere("elements", name) == [[f"member {element}"]] * 5
    stored = fleet.redis().hgetall(b"deltaic:{n2}:obj:" + name.encode())
    assert list(stored) == [f"member {element}".encode()]


def test_bytes_that_are_no_text_are_stored_as_they_are_and_wrapped_in_json(fleet, cli, key):
    """They come from a library replica's patch: gRPC texts are text. `x1` is a replica that is no node."""
    fleet.agree()
    wrapped, raw = {"b64": "/wA="}, b"\xff\0"
    stamp = [1, 0]
    patch = {
        "v": 1,
        "origin": "x1",
        "since": {},
        "clock": {"x1": 1},
        "stable": {},
        "hlc": stamp,
        "parts": [
            [wrapped, "orset", wrapped, {"x1:1": True}],
            [{"b64": "/g=="}, "lwwregister", "", {"x1:1": [wrapped, 7, 0]}],
        ],
    }
    assert fleet["n1"].merge(patch) == 2
    fleet["n1"].sync()
    fleet.agree()
    redis = fleet.redis()
    for name in fleet.nodes:
        assert redis.hget(f"deltaic:{{{name}}}:state", raw) == b'{"type":"orset"}'
        assert redis.hgetall(b"deltaic:{%s}:obj:%s" % (name.encode(), raw)) == {raw: b'{"x1:1":true}'}
        assert json_of(cli("HGET", f"deltaic:{{{name}}}:state", b"\xfe")) == {
            "type": "lwwregister",
            "parts": {"": {"x1:1": [wrapped, 7, 0]}},
        }


def test_the_fleet_hash_shows_who_lives_and_where(fleet, cli):
    shown = {name.decode(): orjson.loads(value) for name, value in pairs(cli("HGETALL", FLEET)).items()}
    assert shown.keys() == fleet.nodes.keys()
    for name, node in fleet.nodes.items():
        assert shown[name]["grpc"] == node.address
        assert shown[name]["replica"] == name
    beat = shown["n1"]["beat_ms"]
    wait_until(lambda: orjson.loads(cli("HGET", FLEET, "n1")[0])["beat_ms"] > beat, what="the next heartbeat")


def test_the_inbox_the_links_and_the_quarantine_are_shown_too(fleet, cli):
    fleet["n1"].partition("n2")
    assert cli("HGET", "deltaic:{n1}:links", "n2") == [b"paused"]
    fleet["n1"].heal("n2")
    assert cli("HGET", "deltaic:{n1}:links", "n2") == [b"open"]

    entry = cli("XADD", "deltaic:{n1}:inbox", "*", "m", "what is this")[0]
    wait_until(lambda: entry in cli("XRANGE", "deltaic:{n1}:quarantine", "-", "+"), what="it to be set aside")
    lines = cli("XREVRANGE", "deltaic:{n1}:quarantine", "+", "-", "COUNT", "1")
    fields = pairs(lines[1:])
    assert fields.keys() == {b"source", b"entry", b"reason", b"content"}
    assert (fields[b"source"], fields[b"entry"], fields[b"content"]) == (b"inbox", entry, b"what is this")


def test_nothing_stands_in_redis_but_the_keys_that_are_documented(fleet, key):
    fleet["n1"].add(key, "apple")
    fleet.agree()
    whole = {b"", b":state", b":log", b":inbox", b":links", b":quarantine", b":alive", b":met"}
    for found in fleet.redis().keys("*"):
        if found in {FLEET.encode(), AUDIT.encode()}:
            continue
        node, _, rest = found.partition(b"}")
        assert node.removeprefix(b"deltaic:{").decode() in fleet.nodes, found
        assert rest in whole or rest.split(b":")[1] in {b"obj", b"rival", b"answer"}, found

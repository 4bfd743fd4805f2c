"""The operator's commands, run as people and scripts run them: as processes, against real workers and a real Valkey."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import InvalidArgument, UnknownNode
from tests.command import Command
from tests.fleet import Fleet
from tests.support import free_port, wait_until
from workers.fleet.partitions import healed_links, partition_cuts
from workers.wire.keys import FLEET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def deltaic(fleet) -> Command:
    """The command on the shared fleet of five."""
    return Command(fleet.directory / "fleet.toml")


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Iterator[Fleet]:
    """Three nodes, each with a Valkey of its own, for the tests that break something."""
    with Fleet(tmp_path_factory.mktemp("small"), nodes=3, valkey_each=True) as fleet:
        yield fleet


@pytest.fixture
def on_small(small) -> Command:
    return Command(small.directory / "fleet.toml")


@pytest.fixture
def nobody(tmp_path) -> Command:
    """The command on a fleet that is not there."""
    return Command(_fleet_file(tmp_path, [free_port() for _ in range(3)], free_port()))


def _fleet_file(directory: Path, grpc_ports: list[int], redis_port: int) -> Path:
    nodes = [
        f'[nodes.n{place}]\ngrpc = "127.0.0.1:{port}"\nredis = "redis://127.0.0.1:{redis_port}/0"\n'
        for place, port in enumerate(grpc_ports, 1)
    ]
    file = directory / "fleet.toml"
    file.write_text("".join(nodes))
    return file


def _paused(fleet: Fleet) -> set[tuple[str, str]]:
    """The links paused in Redis, as (listener, speaker)."""
    return {
        (name, peer.decode())
        for name, node in fleet.nodes.items()
        for peer, state in fleet.redis(name).hgetall(node.keys.links).items()
        if state == b"paused"
    }


# Status -----------------------------------------------------------------------------------------------------------


class TestStatus:
    def test_of_a_fleet_that_agrees(self, fleet, deltaic, key):
        fleet["n1"].increment(key)
        fleet.agree()
        shown = deltaic("status")
        assert "5 of 5 nodes up; all agree" in shown
        status = deltaic.json("status")
        assert status["agreement"] == "agree"
        assert status["healthy"] is True
        (group,) = status["groups"]
        assert group["nodes"] == ["n1", "n2", "n3", "n4", "n5"]
        assert group["clock"] == fleet["n3"].clock()
        n2 = status["nodes"]["n2"]
        assert n2["up"]
        assert n2["serving"]
        assert n2["clock"] == fleet["n2"].clock()
        assert n2["agreement"] == "agree"
        assert n2["lag"]["n1"] == {"deltas": 0, "ms": 0}
        assert n2["links"] == dict.fromkeys(["n1", "n3", "n4", "n5"], "open")
        assert n2["inbox"] == 0
        assert n2["problem"] is None

    def test_counts_what_a_node_has_missed_and_how_old_it_is(self, fleet, deltaic, key):
        fleet.cut_by_redis(["n3"], ["n1", "n2", "n4", "n5"])
        begun = time.time()
        for _ in range(3):
            fleet["n1"].increment(key)
        fleet["n3"].increment(key)
        fleet.agree("n1", "n2", "n4", "n5")
        status = deltaic.json("status")
        age_ms = (time.time() - begun) * 1000
        n1, n3 = status["nodes"]["n1"], status["nodes"]["n3"]
        assert n3["lag"]["n1"]["deltas"] == 3
        assert 0 < n3["lag"]["n1"]["ms"] <= age_ms + 1
        assert n1["lag"]["n3"]["deltas"] == 1
        assert n3["links"]["n1"] == "paused"
        assert status["agreement"] == "apart"
        assert {n1["agreement"], n3["agreement"]} == {"behind"}
        assert "2 views: n1 n2 n4 n5 | n3" in deltaic("status")

    def test_a_lag_whose_deltas_were_trimmed_has_no_age(self, fleet, deltaic, key):
        fleet.set_link("n4", "n3", "paused")
        fleet.set_link("n4", "n5", "paused")
        fleet["n3"].increment(key)
        fleet.redis().xtrim(fleet["n3"].keys.log, maxlen=0, approximate=False)
        assert deltaic.json("status")["nodes"]["n4"]["lag"]["n3"] == {"deltas": 1, "ms": None}

    def test_different_states_at_equal_clocks_are_an_alarm(self, on_small, small, key):
        small["n1"].increment(key)
        small.agree()
        header = small["n2"].keys.header
        digest = small.redis("n2").hget(header, "digest")
        small.redis("n2").hset(header, "digest", "0123456789abcdef")
        result = on_small.run("status")
        small.redis("n2").hset(header, "digest", digest)
        assert result.returncode == 6
        headline, *_ = result.stdout.splitlines()
        assert headline.endswith("DIGEST MISMATCH: n1 n3 / n2 have seen the same and hold different states")

    def test_servers_that_accept_and_say_nothing_do_not_hold_it_up(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            result = Command(_fleet_file(tmp_path, [port, port], port)).run("status")
        assert result.returncode == 3
        assert "0 of 2 nodes up" in result.stdout
        assert "Redis of n1 n2: no answer within 1.5 s" in result.stdout

    def test_watch_goes_on_until_interrupted(self, deltaic):
        with deltaic.start("status", "--watch", "--json") as process:
            first, second = (json.loads(process.stdout.readline()) for _ in range(2))
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            assert process.stderr.read() == ""
        assert second["at_ms"] > first["at_ms"]


# Links ------------------------------------------------------------------------------------------------------------

FIVE = ["n1", "n2", "n3", "n4", "n5"]


class TestPartition:
    @pytest.mark.parametrize(
        ("words", "cut_off"),
        [
            (["n3"], {"n3": "n1 n2 n4 n5"}),
            (["n1,n2"], {"n1": "n3 n4 n5", "n2": "n3 n4 n5"}),
            (["n1,n2", "n3,n4,n5"], {"n1": "n3 n4 n5", "n2": "n3 n4 n5"}),
            (["n1", "n2"], {"n1": "n2 n3 n4 n5", "n2": "n1 n3 n4 n5"}),
        ],
    )
    def test_groups_do_not_hear_each_other(self, words, cut_off):
        one_way = {(one, other) for one, others in cut_off.items() for other in others.split()}
        assert partition_cuts(words, FIVE) == one_way | {(other, one) for one, other in one_way}

    def test_directions(self):
        assert partition_cuts(["n1->n3"], FIVE) == {("n3", "n1")}
        assert partition_cuts(["n1,n2->n3", "n4→n5"], FIVE) == {("n3", "n1"), ("n3", "n2"), ("n5", "n4")}
        assert partition_cuts(["n5", "n1->n2"], FIVE) == partition_cuts(["n5"], FIVE) | {("n2", "n1")}

    def test_what_makes_no_sense_is_refused(self):
        with pytest.raises(UnknownNode):
            partition_cuts(["n1", "n9"], FIVE)
        for words in (["n1,n2", "n2"], ["n1->n1"], ["n1->n2->n3"], ["->n1"], [","], ["n1,n2,n3,n4,n5"], ["n1-"]):
            with pytest.raises(InvalidArgument):
                partition_cuts(words, FIVE)

    def test_heals_all_or_some(self):
        assert len(healed_links([], FIVE)) == 20
        assert healed_links(["n1->n3"], FIVE) == {("n3", "n1")}
        assert healed_links(["n3"], FIVE) == partition_cuts(["n3"], FIVE)

    def test_parts_and_heals_the_fleet(self, fleet, deltaic, key):
        shown = deltaic("partition", "n1,n2", "n3,n4,n5")
        assert _paused(fleet) == partition_cuts(["n1,n2"], FIVE)
        assert shown.splitlines()[2].split() == ["n1", "-", "yes", "no", "no", "no"]
        fleet["n1"].increment(key)
        fleet.agree("n1", "n2")
        assert fleet["n3"].counter(key) == 0
        deltaic("heal", "n3->n1")
        assert ("n1", "n3") not in _paused(fleet)
        assert ("n3", "n1") in _paused(fleet)
        assert "everyone hears everyone" in deltaic("heal")
        fleet.agree()
        assert fleet["n3"].counter(key) == 1

    def test_unknown_node_changes_nothing(self, fleet, deltaic):
        for result in deltaic.run_all(["partition", "n1", "n9"], ["partition", "n1->n9"], ["heal", "n9"]):
            assert result.returncode == 2
            assert result.stderr == "deltaic: unknown node 'n9'; this fleet has n1, n2, n3, n4, n5\n"
        assert not _paused(fleet)


# Data -------------------------------------------------------------------------------------------------------------


class TestData:
    def test_counter(self, fleet, deltaic, key):
        assert deltaic("incr", key, "5").startswith("n1: ")
        assert deltaic("decr", key, "2", "--node", "n1").endswith(" = 3\n")
        fleet.agree()
        assert fleet.everywhere("counter", key) == [3] * 5
        assert deltaic("get", key, "--node", "n4").endswith(" = 3 (pncounter)\n")
        seen = deltaic.json("get", key)
        assert (seen["node"], seen["type"], seen["value"], seen["conflicts"]) == ("n1", "pncounter", 3, [])

    def test_grow_only_counter(self, deltaic, key):
        deltaic("incr", key, "--grow-only")
        result = deltaic.run("decr", key)
        assert result.returncode == 2
        assert "cannot be decremented" in result.stderr

    def test_set(self, fleet, deltaic, key):
        assert "added apple, big pear" in deltaic("add", key, "apple", "big pear").replace('"', "")
        assert "removed apple; not there fig" in deltaic("remove", key, "apple", "fig")
        assert '{"big pear"} (orset)' in deltaic("get", key)
        fleet.agree()
        assert fleet["n5"].elements(key) == ["big pear"]

    def test_register(self, deltaic, key):
        deltaic("set", key, "new", "--timestamp", "7")
        assert "nothing changed" in deltaic("set", key, "old", "--timestamp", "6")
        assert " = new (lwwregister)" in deltaic("get", key)

    def test_concurrent_values(self, fleet, deltaic, key):
        fleet.cut_by_redis(["n1"], ["n2", "n3", "n4", "n5"])
        for result in deltaic.run_all(["set", key, "tea"], ["set", key, "coffee", "--node", "n2"]):
            assert result.returncode == 0
        fleet.heal()
        fleet.agree()
        assert " = tea | coffee (mvregister)" in deltaic("get", key)

    def test_delete(self, fleet, deltaic, key):
        fleet["n1"].add(key, "a")
        assert deltaic("delete", key).endswith(" deleted\n")
        gone = deltaic.run("get", key)
        assert gone.returncode == 1
        assert gone.stdout.endswith(" does not exist\n")

    def test_nothing_that_a_terminal_obeys_is_printed(self, fleet, deltaic, key):
        fleet["n1"].add(key, "\x1b[31mred")
        shown = deltaic("get", key)
        assert "\x1b" not in shown
        assert r"\x1b[31mred" in shown

    def test_bad_arguments(self, fleet, deltaic, key):
        fleet["n1"].increment(key)
        too_much = str(2**63)
        lines = (
            ["add", key, "x"],
            ["incr", key, "-5"],
            ["incr", key, too_much],
            ["get", ""],
            ["get", "k", "--node", "n9"],
        )
        for result in deltaic.run_all(*lines):
            assert result.returncode == 2, result.args
            assert result.stderr
            assert not result.stdout


class TestDiff:
    def test_shows_views_that_parted_and_met_again(self, fleet, deltaic, key):
        fleet["n1"].add(key, "fig", "apple")
        fleet.agree()
        fleet.cut_by_redis(["n1", "n2"], ["n3", "n4", "n5"])
        fleet["n1"].remove(key, "apple")
        fleet.agree("n1", "n2")
        parted = deltaic.run("diff", key)
        assert parted.returncode == 1
        rows = [row.split(maxsplit=2) for row in parted.stdout.splitlines()[2:7]]
        assert [row[0] for row in rows] == ["n1", "n2", "n3", "n4", "n5"]
        assert rows[1][2].strip() == "{fig} lacks apple"
        assert rows[4][2].strip() == "{fig, apple}"
        fleet.heal()
        fleet.agree()
        assert "5 nodes agree" in deltaic("diff", key)

    def test_dots_and_json(self, fleet, deltaic, key):
        fleet["n2"].set(key, "tea")
        fleet.agree()
        dot = f"n2:{fleet['n2'].clock()['n2']}"
        assert f'{dot} ["tea",' in deltaic("diff", key, "--dots")
        found = deltaic.json("diff", key)
        assert found["agree"] is True
        assert found["nodes"]["n5"]["value"] == ["tea"]
        assert found["nodes"]["n5"]["siblings"][""][dot][0] == "tea"


# Nodes ------------------------------------------------------------------------------------------------------------


class TestNodes:
    def test_sync_brings_over_what_was_missed(self, fleet, deltaic, key):
        fleet["n1"].increment(key)
        shown = deltaic("sync", "n2")
        assert shown.splitlines()[2].split()[:5] == ["n2", "n1", "n3", "n4", "n5"]
        fleet.agree()
        assert len(deltaic("sync").splitlines()) == 7

    def test_health(self, deltaic):
        assert deltaic("health", "n2") == "n2: serving\n"

    def test_without_a_fleet_one_line_says_what_to_do(self, nobody):
        lines = ("get k", "incr k", "add k x", "set k v", "delete k", "diff k", "sync")
        for result in nobody.run_all(*map(str.split, lines)):
            assert result.returncode == 3
            assert result.stdout == ""
            (line,) = result.stderr.splitlines()
            assert line.startswith("deltaic: no node answers at 127.0.0.1:")
            assert "make fleet" in line


@pytest.fixture(scope="class")
def n1_is_dead(small) -> Iterator[None]:
    """And its heartbeat is old."""
    small.agree()
    small["n1"].kill()
    small.redis("n1").hset(FLEET, "n1", b'{"beat_ms":1763700000000}')
    yield
    small["n1"].start().wait_until_serving()


@pytest.fixture(scope="class")
def redis_of_n2_is_dead(small) -> Iterator[None]:
    small.valkeys["n2"].kill()
    yield
    small.valkeys["n2"].start()


@pytest.mark.usefixtures("n1_is_dead")
class TestWithoutOneWorker:
    def test_status_shows_it_down_and_its_data_all_the_same(self, on_small):
        result, as_json = on_small.run_all(["status"], ["status", "--json"])
        assert result.returncode == as_json.returncode == 3
        assert result.stdout.startswith("2 of 3 nodes up; all agree")
        n1 = json.loads(as_json.stdout)["nodes"]["n1"]
        assert n1["up"] is False
        assert n1["serving"] is False
        assert n1["clock"] is not None
        assert n1["log"] is not None
        assert n1["markers"] is None

    def test_others_are_read_and_written(self, on_small, key):
        assert on_small("incr", key).startswith("n2: ")
        result, as_json = on_small.run_all(["diff", key], ["diff", key, "--json"])
        assert result.returncode == as_json.returncode == 3
        assert "unreachable: connection refused" in result.stdout
        assert json.loads(as_json.stdout)["nodes"]["n1"] is None

    def test_a_command_for_it_fails(self, on_small, small, key):
        for result in on_small.run_all(["incr", key, "--node", "n1"], ["sync", "n1"], ["health", "n1"]):
            assert result.returncode == 3
        assert on_small.run("incr", key, "--node", "n1").stderr.startswith(f"deltaic: n1 at {small['n1'].address}: ")

    def test_sync_names_it(self, on_small):
        result = on_small.run("sync", "n2")
        assert result.returncode == 3
        assert result.stdout.splitlines()[2].split()[:3] == ["n2", "n3", "n1"]

    def test_it_can_be_cut_off(self, on_small, small):
        on_small("partition", "n1")
        assert len(_paused(small)) == 4
        on_small("heal")
        assert not _paused(small)

    def test_the_demo_names_the_remedy(self, on_small):
        result = on_small.run("demo")
        assert result.returncode == 3
        assert result.stderr.endswith("needs 3 nodes, 2 answer; start the fleet with `make fleet`\n")


@pytest.mark.usefixtures("redis_of_n2_is_dead")
class TestWithoutOneRedis:
    def test_status_says_whose(self, on_small):
        result, as_json = on_small.run_all(["status"], ["status", "--json"])
        assert result.returncode == as_json.returncode == 3
        assert "no Redis of n2; the other 2 agree" in result.stdout
        nodes = json.loads(as_json.stdout)["nodes"]
        assert nodes["n2"]["problem"] == "connection refused"
        assert nodes["n2"]["clock"] is None
        assert nodes["n1"]["lag"]["n2"] == {"deltas": None, "ms": None}

    def test_partition_says_where_it_could_not_be_set(self, on_small, small):
        result = on_small.run("partition", "n3")
        assert result.returncode == 3
        assert "the links of n2 could not be set: Redis at redis://127.0.0.1:" in result.stderr
        assert small.redis("n1").hget(small["n1"].keys.links, "n3") == b"paused"
        assert on_small.run("heal").returncode == 3
        assert small.redis("n1").hget(small["n1"].keys.links, "n3") == b"open"


# The demo ---------------------------------------------------------------------------------------------------------


class TestDemo:
    @staticmethod
    def _keys(fleet: Fleet) -> set[str]:
        """The demo's keys that some node still shows."""
        found = {key.decode() for node in fleet.nodes.values() for key in fleet.redis().hkeys(node.keys.state)}
        demo = [key for key in found if key.startswith("demo:")]
        return {key for key in demo if any(node.inspect(key).type for node in fleet.nodes.values())}

    def test_tells_its_story_and_leaves_no_trace(self, fleet, deltaic):
        story = deltaic("demo", "--fast")
        assert "visits is 1 + 2 + 3 + 4 + 5" in story
        assert "15 + 10 + 100 = 125" in story
        assert "tea | coffee" in story
        assert "lacks apple" in story
        fleet.agree()
        assert not self._keys(fleet)
        assert not _paused(fleet)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_heals_and_tidies_up_when_stopped_half_way(self, fleet, deltaic, number):
        with deltaic.start("demo") as process:
            wait_until(lambda: _paused(fleet), 20, "the demo to part the nodes")
            process.send_signal(number)
            process.communicate(timeout=20)
            assert process.returncode != 0
        assert not _paused(fleet)
        fleet.agree()
        assert not self._keys(fleet)

    def test_refuses_a_fleet_that_is_cut_already(self, fleet, deltaic):
        fleet.set_link("n2", "n1", "paused")
        result = deltaic.run("demo", "--fast")
        assert result.returncode == 3
        assert result.stderr.startswith("deltaic: the fleet is cut already (n2 does not hear n1, ")


# The command itself -----------------------------------------------------------------------------------------------


def test_the_version_names_the_interpreter_too(nobody):
    assert re.fullmatch(r"deltaic \d+\.\d+\.\d+\S*, CPython 3\.\d+\.\d+\S*\n", nobody("--version"))

"""`deltaic get`, `diff`, `incr`, `add`, `set`, `sync` and the like, against real workers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.support import wait_until_async
from tests.workers.cli.invoking import invoke
from tests.workers.fleet_files import fleet_file
from tests.workers.rpc.face import serving
from workers.config.settings import LimitSettings
from workers.rpc.client import CallRefused, NoNodeServes, NoNodeWrites
from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_counter(fleet, deltaic, key):
    assert deltaic("incr", key, "5").startswith("n1: ")
    assert deltaic("decr", key, "2", "--node", "n1").endswith(" = 3\n")
    fleet.agree()
    assert fleet.everywhere("counter", key) == [3] * 5
    assert deltaic("get", key, "--node", "n4").endswith(" = 3 (pncounter)\n")
    seen = deltaic.json("get", key)
    assert (seen["node"], seen["type"], seen["value"], seen["conflicts"]) == ("n1", "pncounter", 3, [])


def test_a_grow_only_counter(deltaic, key):
    deltaic("incr", key, "--grow-only")
    result = deltaic.run("decr", key)
    assert result.returncode == 2
    assert "cannot be decremented" in result.stderr


def test_a_set(fleet, deltaic, key):
    assert "added apple, big pear" in deltaic("add", key, "apple", "big pear").replace('"', "")
    assert "removed apple; not there fig" in deltaic("remove", key, "apple", "fig")
    assert '{"big pear"} (orset)' in deltaic("get", key)
    fleet.agree()
    assert fleet["n5"].elements(key) == ["big pear"]


def test_elements_are_added_and_removed_in_one_commit(fleet, deltaic, key):
    """Each element made a call and a commit of its own."""
    before = fleet["n1"].clock().get("n1", 0)
    deltaic("add", key, "apple", "pear", "fig", "--node", "n1")
    assert "removed apple, pear; not there plum" in deltaic("remove", key, "apple", "pear", "plum", "--node", "n1")
    assert fleet["n1"].clock()["n1"] == before + 2


async def test_more_elements_than_a_batch_holds_are_several_batches_and_an_error_says_how_many_were_done(tmp_path):
    async with serving(LimitSettings(value_bytes_max=4)) as face:
        file = fleet_file(tmp_path, n1={"grpc": face.address, "redis": "redis://127.0.0.1:1/0"})
        with file.open("a") as appended:
            appended.write("[limits]\nbatch_operations_max = 2\n")
        fine = await asyncio.to_thread(invoke, file, "add", "s", "a", "b", "c")
        assert fine.stdout == "n1: s: added a, b, c\n"
        assert face.mailbox.confirmed.clock == {"n1": 2}
        refused = await asyncio.to_thread(invoke, file, "add", "s", "d", "e", "too long", "f", "g")
        assert isinstance(refused.exception, CallRefused)
        assert "deltaic: 3 of 5 elements were done" in refused.stderr


def test_a_register(deltaic, key):
    deltaic("set", key, "new", "--timestamp", "7")
    assert "nothing changed" in deltaic("set", key, "old", "--timestamp", "6")
    assert " = new (lwwregister)" in deltaic("get", key)


def test_concurrent_values(fleet, deltaic, key):
    fleet.cut_by_redis(["n1"], ["n2", "n3", "n4", "n5"])
    for result in deltaic.run_all(["set", key, "tea"], ["set", key, "coffee", "--node", "n2"]):
        assert result.returncode == 0
    fleet.heal()
    fleet.agree()
    assert " = tea | coffee (mvregister)" in deltaic("get", key)


def test_a_deleted_key(fleet, deltaic, key):
    fleet["n1"].add(key, "a")
    assert deltaic("delete", key).endswith(" deleted\n")
    gone = deltaic.run("get", key)
    assert gone.returncode == 1
    assert gone.stdout.endswith(" does not exist\n")


def test_nothing_that_a_terminal_obeys_is_printed(fleet, deltaic, key):
    fleet["n1"].add(key, "\x1b[31mred")
    shown = deltaic("get", key)
    assert "\x1b" not in shown
    assert r"\x1b[31mred" in shown


def test_bad_arguments(fleet, deltaic, key):
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


@pytest.mark.parametrize(("line", "remedy"), [("incr k -5", "deltaic decr k 5"), ("decr k -5", "deltaic incr k 5")])
def test_an_amount_below_zero_names_the_command_that_does_it(nobody, line, remedy):
    """It said "No such option: -5"."""
    result = invoke(nobody, *line.split())
    assert result.exit_code == 2
    assert f"`{remedy}`" in result.output


def test_an_amount_that_is_no_number_is_refused_in_plain_words(nobody):
    """It said "not a valid integer range"."""
    result = invoke(nobody, "incr", "k", "five")
    assert result.exit_code == 2
    assert "'five' is not a valid whole number" in result.output


def test_a_key_may_begin_with_a_dash(nobody):
    assert isinstance(invoke(nobody, "incr", "--", "-5", "1").exception, NoNodeServes)


def test_health(deltaic):
    assert deltaic("health", "n2") == "n2: serving\n"


async def test_a_node_that_cannot_write_is_not_told_to_start(tmp_path):
    """It said "not serving; start the fleet" of a node whose Redis was frozen. `get` said that no node answers."""
    file = tmp_path / "fleet.toml"
    async with serving() as face:
        file.write_text(f'[nodes.n1]\ngrpc = "{face.address}"\nredis = "redis://h"\n')
        await face.writability.set(Trouble(0, "Redis gave no answer for 5 s"))

        async def is_told() -> bool:
            health = await asyncio.to_thread(invoke, file, "health", "n1")
            return (health.exit_code, health.output) == (3, "n1: not serving: Redis gave no answer for 5 s\n")

        await wait_until_async(is_told, what="the trouble to be told")
        assert (await asyncio.to_thread(invoke, file, "get", "k")).output == "n1: k does not exist\n"
        assert isinstance((await asyncio.to_thread(invoke, file, "incr", "k")).exception, NoNodeWrites)


@pytest.mark.parametrize("line", ["get k", "incr k", "add k x", "set k v", "delete k", "diff k", "sync"])
def test_without_a_fleet_the_error_says_what_to_do(nobody, line):
    result = invoke(nobody, *line.split())
    assert isinstance(result.exception, NoNodeServes)
    assert (result.stdout, result.exception.exit_code) == ("", 3)
    assert str(result.exception).startswith("no node answers at 127.0.0.1:")
    assert "start the fleet with `deltaic fleet`" in str(result.exception)


@pytest.fixture(scope="module")
def n1_is_dead(small) -> Iterator[None]:
    small.agree()
    small["n1"].kill()
    yield
    small["n1"].start().wait_until_serving()


@pytest.mark.usefixtures("n1_is_dead")
def test_without_one_worker_the_others_are_read_and_written(on_small, key):
    assert on_small("incr", key).startswith("n2: ")
    result, as_json = on_small.run_all(["diff", key], ["diff", key, "--json"])
    assert result.returncode == as_json.returncode == 3
    assert "unreachable: connection refused" in result.stdout
    assert json.loads(as_json.stdout)["nodes"]["n1"] is None


@pytest.mark.usefixtures("n1_is_dead")
def test_a_command_for_a_dead_node_fails(on_small, small, key):
    for result in on_small.run_all(["incr", key, "--node", "n1"], ["sync", "n1"], ["health", "n1"]):
        assert result.returncode == 3
    assert on_small.run("incr", key, "--node", "n1").stderr.startswith(f"deltaic: n1 at {small['n1'].address}: ")


@pytest.mark.usefixtures("n1_is_dead")
def test_sync_names_a_dead_node(on_small):
    result = on_small.run("sync", "n2")
    assert result.returncode == 3
    assert result.stdout.splitlines()[2].split()[:3] == ["n2", "n3", "n1"]

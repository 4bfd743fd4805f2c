"""Nodes join a running fleet, leave it, and come back: real workers, each with a Valkey of its own."""

from __future__ import annotations

import re
import signal
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import grpc
import orjson
import pytest
from redis import Redis

from crdt_core.codec.patches import patch_value
from crdt_core.errors import NotAMember
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from tests.command import Command
from tests.fleet import Fleet
from tests.load import Load
from tests.server import ValkeyServer
from tests.support import free_port, wait_until
from workers.jobs import maintenance as jobs
from workers.rpc import deltaic_pb2 as pb
from workers.wire.keys import FLEET, Keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.fleet import Node

LARGE = 20_000
SECRET = "s3cret"  # noqa: S105
OTHERS = ("n1", "n2")
REPLICA = re.compile("its replica id is (.+)")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DELTAIC_FILE", str(tmp_path / "fleet.toml"))
    return tmp_path


@pytest.fixture
def fleet(directory: Path) -> Iterator[Fleet]:
    """Three nodes that each have counted once."""
    with Fleet(directory, nodes=3, valkey_each=True, gossip={"chunk_bytes": 2048}) as fleet:
        for node in fleet.nodes.values():
            node.increment("hits")
            node.add("who", node.name)
        fleet.agree()
        yield fleet


@pytest.fixture
def deltaic(fleet: Fleet) -> Command:
    return Command(fleet.directory / "fleet.toml")


def claiming(clock: dict[str, int]) -> dict[str, Any]:
    """A patch that brings nothing, and says that it is at `clock`."""
    return {"v": 1, "origin": "n9", "since": {}, "clock": clock, "stable": {}, "hlc": [0, 0], "parts": []}


def addresses(fleet: Fleet, name: str) -> tuple[str, ...]:
    return "--grpc", fleet[name].address, "--redis", fleet.valkeys[name].url


def member(node: Node, replica: str) -> pb.Member | None:
    """What `node` knows of an id."""
    members = node.control.Members(pb.MembersRequest(), timeout=10).members
    return next((member for member in members if member.replica == replica), None)


def standing(node: Node, replica: str) -> str:
    known = member(node, replica)
    return pb.Standing.Name(known.standing) if known is not None else "unknown"


def header(fleet: Fleet, name: str, field: str) -> Any:
    return orjson.loads(fleet.redis(name).hget(Keys(name).header, field) or b"null")


def added(fleet: Fleet, name: str) -> set[str]:
    """The ids under which the node was added, as its Redis says."""
    return {id_.decode() for id_ in fleet.redis(name).smembers(Keys(name).added)}


def beat(fleet: Fleet, name: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(fleet.redis(name).hget(FLEET, name) or b"{}")
    return found


def compact(names: Sequence[str]) -> None:
    for name in names:
        jobs.compact(name)


def wait_until_folded(fleet: Fleet, replica: str, names: Sequence[str]) -> None:
    def folded() -> bool:
        compact(names)
        return all(standing(fleet[name], replica) == "FOLDED" for name in names)

    wait_until(folded, 30, f"{replica} to be folded")
    fleet.agree(*names)
    for name in names:
        assert replica not in fleet[name].clock()
        assert replica not in header(fleet, name, "clock")
        assert replica not in header(fleet, name, "stable")


def everybody_has_a_large_set(fleet: Fleet) -> None:
    """The state of a replica that is no node, merged by everyone."""
    author = Replica("author")
    for number in range(LARGE):
        author.write(b"large", ORSET, b"member-%06d" % number, True)
    author.commit(Stamp(1, 0))
    state = patch_value(author.patch(None, Stamp(1, 0)))
    for node in fleet.nodes.values():
        node.merge(state)
    fleet.agree()


# Joining ----------------------------------------------------------------------------------------------------------


def test_a_newcomer_joins_under_load_and_never_serves_before_it_has_the_state(fleet, deltaic):
    everybody_has_a_large_set(fleet)
    newcomer = fleet.newcomer("n4")
    progress, elements_at_first, known_at_first = [], [], []

    def watch() -> None:
        while not newcomer.is_serving():
            progress.append(beat(fleet, "n4").get("joins"))
        elements_at_first.append(len(newcomer.elements("large")))
        known_at_first.append(newcomer.clock())

    with ExitStack() as stack:
        loads = [stack.enter_context(Load(fleet[name].address, 2, f"load-{name}")) for name in ("n1", "n2", "n3")]
        for load in loads:
            load.wait_for_acknowledgements(50)
        deltaic("node", "add", "n4", *addresses(fleet, "n4"), "--no-wait")
        before = fleet["n2"].clock()
        newcomer.start()
        watcher = threading.Thread(target=watch)
        watcher.start()
        newcomer.wait_until_serving(90)
        watcher.join()
        loads.append(stack.enter_context(Load(newcomer.address, 2, "load-n4")))
        for load in loads:
            load.wait_for_acknowledgements(50)
    assert elements_at_first == [LARGE]
    (known,) = known_at_first
    assert all(known.get(name, 0) >= counter for name, counter in before.items())
    assert any(joins and 0 < joins["done"] <= joins["of"] for joins in progress), "it says how far it is"
    fleet.agree(timeout=60)
    for load in loads:
        load.check(newcomer)
    assert fleet.everywhere("counter", "hits") == [3] * 4


def test_a_newcomer_speaks_the_redis_protocol_where_it_is_told(fleet, deltaic):
    newcomer, port = fleet.newcomer("n4"), free_port()
    added = deltaic("node", "add", "n4", *addresses(fleet, "n4"), "--resp", f"127.0.0.1:{port}", "--no-wait")
    assert f"it will speak the Redis protocol at 127.0.0.1:{port}" in added
    newcomer.start().wait_until_serving(60)
    with Redis(port=port) as client:
        assert client.get("hits") == b"3"
    listed = {id_["node"]: id_["resp"] for id_ in deltaic.json("node", "list")}
    assert listed == {name: f"127.0.0.1:{node.resp_port or port}" for name, node in fleet.nodes.items()}


def test_a_newcomer_that_is_killed_in_mid_sync_continues(fleet, deltaic):
    everybody_has_a_large_set(fleet)
    newcomer = fleet.newcomer("n4")
    (replica,) = REPLICA.findall(deltaic("node", "add", "n4", *addresses(fleet, "n4"), "--no-wait"))
    newcomer.start()
    wait_until(lambda: (beat(fleet, "n4").get("joins") or {}).get("done"), 30, "a part of the state to have arrived")
    newcomer.kill()
    assert fleet.redis("n4").hget(Keys("n4").header, "joining") == b"1"
    assert not header(fleet, "n4", "clock"), "nothing shows before all of it is there"
    fleet["n2"].increment("hits")
    newcomer.start().wait_until_serving(90)
    assert newcomer.replica_id() == replica
    fleet.agree()
    assert fleet.everywhere("counter", "hits") == [4] * 4
    assert len(newcomer.elements("large")) == LARGE
    newcomer.increment("hits")
    fleet.agree()


def test_node_add_says_what_is_wrong_and_changes_nothing(fleet, deltaic):
    text = deltaic.file.read_text()
    refused = deltaic.run("node", "add", "n4")
    assert (refused.returncode, "--grpc and --redis are needed" in refused.stderr) == (2, True)
    refused = deltaic.run("node", "add", "N4", "--grpc", "localhost:1", "--redis", "redis://localhost:1")
    assert (refused.returncode, "must match" in refused.stderr) == (2, True)
    refused = deltaic.run("node", "add", "n4", "--grpc", "nowhere", "--redis", "redis://localhost:1")
    assert (refused.returncode, "nodes.n4.grpc" in refused.stderr) == (2, True)
    refused = deltaic.run("node", "add", "n4", "--grpc", "localhost:1", "--redis", "redis://localhost:1")
    assert (refused.returncode, "connection refused" in refused.stderr) == (3, True)
    refused = deltaic.run("node", "add", "n3")
    assert (refused.returncode, "is already a member; its replica id is n3" in refused.stderr) == (2, True)
    refused = deltaic.run("node", "remove", "n9")
    assert (refused.returncode, "unknown node 'n9'" in refused.stderr) == (2, True)
    assert deltaic.file.read_text() == text
    assert [id_["replica"] for id_ in deltaic.json("node", "list")] == ["n1", "n2", "n3"]


def test_a_replica_of_another_fleet_is_not_added(fleet, deltaic, tmp_path):
    with Fleet(tmp_path / "elsewhere", nodes=4) as other:
        other["n4"].increment("foreign")
        refused = deltaic.run("node", "add", "n4", *addresses(other, "n4"))
        assert (refused.returncode, "is already run by" in refused.stderr) == (4, True)
        other["n4"].stop()
        refused = deltaic.run("node", "add", "n4", *addresses(other, "n4"))
        assert (refused.returncode, "holds a replica of another fleet" in refused.stderr) == (2, True)


def test_node_add_waits_until_the_node_is_up_and_may_be_called_again(fleet, deltaic):
    newcomer = fleet.newcomer("n4")
    said = deltaic("node", "add", "n4", *addresses(fleet, "n4"), "--no-wait")
    (replica,) = REPLICA.findall(said)
    assert f"n1: n4 is now a member; its replica id is {replica}" in said
    assert added(fleet, "n4") == {replica}
    (_, _, _, n4) = deltaic.json("node", "list")
    assert (n4["standing"], n4["running"], n4["joining"]) == ("active", False, True)
    with deltaic.start("node", "add", "n4") as waiting:
        assert waiting.stdout is not None
        lines = iter(waiting.stdout)
        assert f"n4 is already a member; its replica id is {replica}" in next(lines)
        newcomer.start()
        assert "n4: up" in [line.strip() for line in lines]
    assert waiting.returncode == 0
    fleet.agree()


def test_interrupting_the_wait_leaves_the_node_a_member(fleet, deltaic):
    fleet.newcomer("n4")
    with deltaic.start("node", "add", "n4", *addresses(fleet, "n4")) as waiting:
        assert waiting.stdout is not None
        lines = iter(waiting.stdout)
        assert any("does not run yet" in line for line in lines)
        waiting.send_signal(signal.SIGINT)
        assert "n4 stays a member" in "".join(lines)
    assert waiting.returncode == 130
    (known,) = [id_ for id_ in deltaic.json("node", "list") if id_["node"] == "n4"]
    assert (known["standing"], known["replica"].startswith("n4-")) == ("active", True)


# A node that the fleet files of the others do not name --------------------------------------------------------------


def test_a_node_that_was_added_by_address_only_takes_part_in_everything(fleet, deltaic, directory):
    newcomer = fleet.newcomer("n4")
    before = deltaic.file.read_text()
    deltaic("node", "add", "n4", *addresses(fleet, "n4"), "--no-wait")
    newcomer.start().wait_until_serving()
    deltaic.file.write_text(before)
    fleet["n1"].increment("hits")
    newcomer.increment("hits")
    fleet.agree()
    assert sorted(jobs.gossip_round("n1")["peers_contacted"])
    assert wait_until(lambda: "n4" in jobs.audit("n1")["agree"], 10, "the audit to include n4")
    assert "n4" in {peer for _ in range(20) for peer in jobs.gossip_round("n1")["peers_contacted"]}
    assert "markers_waiting" in jobs.compact("n1")
    for command in ("jobs", "cron"):
        refused = deltaic.run(command, "--node", "n4")
        assert (refused.returncode, "[nodes.n4]" in refused.stderr) == (2, True)
    assert deltaic.json("status")["nodes"]["n4"]["up"]
    assert deltaic.run("node", "remove", "n4").returncode == 0
    assert newcomer.exit_code() == NotAMember.exit_code
    assert set(jobs.gossip_round("n1")["peers_contacted"]) == {"n2", "n3"}
    assert "n4" not in str(jobs.audit("n1"))


def test_a_member_whose_address_nobody_knows_is_heard_of_through_the_others(fleet, deltaic):
    """The worker once looked for it without pause; and did not start where the members had been recorded."""
    whole = deltaic.file.read_text()
    fleet["n2"].control.AddNode(
        pb.AddNodeRequest(node="n9", grpc="localhost:1", redis="redis://localhost:1"), timeout=9
    )
    fleet["n2"].control.RemoveNode(pb.RemoveNodeRequest(node="n9"), timeout=9)
    fleet.agree()
    fleet["n1"].stop()
    without_n3 = "\n".join(part for part in whole.split("\n\n") if "[nodes.n3]" not in part)
    deltaic.file.write_text(without_n3)
    fleet["n1"].start().wait_until_serving()
    fleet["n3"].increment("hits")
    fleet.agree("n2", "n3")
    fleet["n1"].sync("n2")
    assert fleet["n1"].counter("hits") == 4
    turns = fleet["n1"].metrics()["turns"]
    assert fleet["n1"].metrics()["turns"] - turns < 20
    deltaic.file.write_text(whole)
    fleet["n1"].stop()
    fleet["n1"].start().wait_until_serving()
    fleet.agree()


def test_a_password_is_written_down_nowhere(fleet, deltaic):
    server = ValkeyServer(fleet.directory / "secretive", password=SECRET).start()
    try:
        url = f"redis://:{SECRET}@127.0.0.1:{server.port}/0"
        said = deltaic("node", "add", "n4", "--grpc", "127.0.0.1:1", "--redis", url, "--no-wait")
        assert "has a password, which is not recorded" in said
        listed = deltaic("node", "list", "--json")
        request = pb.AddNodeRequest(node="n5", grpc="127.0.0.1:1", redis=url)
        with pytest.raises(grpc.RpcError, match="has a password"):
            fleet["n1"].control.AddNode(request, timeout=10)
    finally:
        server.stop()
    fleet.agree()
    for name in fleet.nodes:
        keys = Keys(name)
        held = [fleet.redis(name).hgetall(keys.members), fleet.redis(name).xrange(keys.log)]
        assert b"n4" in b"".join(held[0])
        assert SECRET not in f"{said}{listed}{held}{fleet[name].last_words()}"


# Leaving ----------------------------------------------------------------------------------------------------------


def test_a_removed_members_contributions_stay_and_its_id_goes(fleet, deltaic):
    said = deltaic("node", "remove", "n3")
    assert "n3 is no member any more" in said
    assert "its worker has stopped" in said
    assert "[nodes.n3]" in said
    assert fleet["n3"].exit_code() == NotAMember.exit_code
    wait_until_folded(fleet, "n3", OTHERS)
    for name in OTHERS:
        assert fleet[name].counter("hits") == 3
        assert fleet[name].elements("who") == ["n1", "n2", "n3"]
    refused = deltaic.run("replica", "n3")
    assert (refused.returncode, "was removed from this fleet" in refused.stderr) == (8, True)
    with pytest.raises(grpc.RpcError) as caught:
        fleet["n1"].merge(claiming({"n3": 10**6}))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "it claims n3:1000000, and n3 has left the fleet" in caught.value.details()
    assert fleet["n1"].merge(claiming({"n3": 1})) == 0

    (replica,) = REPLICA.findall(deltaic("node", "add", "n3", "--no-wait"))
    assert re.fullmatch(r"n3-[0-9a-f]{6}\.2", replica), "an id is never used again"
    fleet["n3"].start().wait_until_serving()
    assert fleet["n3"].replica_id() == replica
    fleet["n3"].increment("hits")
    fleet.agree()
    assert fleet.everywhere("counter", "hits") == [4] * 3


def test_what_only_the_removed_member_knew_is_handed_over_first(fleet, deltaic):
    fleet.cut(OTHERS, ["n3"])
    fleet["n3"].increment("hits", 10)
    fleet.set_link("n3", "n1", "open")  # n3 hears n1, but nobody hears n3
    refused = deltaic.run("node", "remove", "n3")
    assert (refused.returncode, "commit of its own reached no other member" in refused.stderr) == (2, True)
    fleet.heal()
    fleet.cut_by_redis(["n1"], ["n3"])  # n1 can have it through n2 only
    deltaic("node", "remove", "n3", "--via", "n2")
    fleet.heal()
    fleet.agree(*OTHERS)
    assert [fleet[name].counter("hits") for name in OTHERS] == [13, 13]


def test_a_dead_member_that_alone_knows_something_is_removed_only_by_force(fleet, deltaic):
    fleet.cut(OTHERS, ["n3"])
    fleet["n3"].increment("hits", 10)
    fleet["n3"].stop()
    before = deltaic.json("node", "list")
    dry = deltaic("node", "remove", "n3", "--dry-run")
    assert "1 commit of its own reached no other member: only --force would remove it" in dry
    refused = deltaic.run("node", "remove", "n3")
    assert (refused.returncode, "1 commit of its own reached no other member" in refused.stderr) == (2, True)
    assert deltaic.json("node", "list") == before
    said = deltaic("node", "remove", "n3", "--force")
    assert "1 commit of its own reached no other member and will stay only in its Redis" in said
    wait_until_folded(fleet, "n3", OTHERS)
    assert [fleet[name].counter("hits") for name in OTHERS] == [3, 3]


def test_a_member_whose_redis_is_gone_is_removed_only_by_force(fleet, deltaic):
    fleet["n3"].kill()
    fleet.valkeys["n3"].kill()
    refused = deltaic.run("node", "remove", "n3")
    assert (refused.returncode, "commits that reached no other member cannot be counted" in refused.stderr) == (2, True)
    assert "commits that reached no other member are lost to the others" in deltaic("node", "remove", "n3", "--force")
    wait_until_folded(fleet, "n3", OTHERS)


def test_a_node_whose_addition_left_with_the_one_that_wrote_it_down_stops_and_can_be_added_anew(fleet, deltaic):
    """n3 adds n4 while n1 and n2 do not listen to it, and goes: nobody but n4 ever hears that n4 was added."""
    fleet.cut(OTHERS, ["n3"])
    for _ in range(5):
        fleet["n3"].increment("hits", 10)  # it knows most, so that n4 asks it for the state
    n4 = fleet.newcomer("n4")
    deltaic("node", "add", "n4", *addresses(fleet, "n4"), "--via", "n3", "--no-wait")
    n4.start().wait_until_serving()
    n4.increment("hits", 1000)
    n4.add("who", "n4")
    fleet["n3"].stop()
    fleet["n1"].increment("hits", 5)
    deltaic("node", "remove", "n3", "--via", "n1", "--force")
    wait_until_folded(fleet, "n3", OTHERS)
    assert n4.exit_code() == NotAMember.exit_code
    assert "no remaining member has heard that it was added" in n4.last_words()
    assert "deltaic node add n4" in n4.last_words()
    assert [fleet[name].counter("hits") for name in OTHERS] == [8, 8]

    assert "n4 is now a member" in deltaic("node", "add", "n4", "--no-wait")
    with deltaic.start("node", "add", "n4") as waiting:
        assert waiting.stdout is not None
        lines = iter(waiting.stdout)
        assert "n4 is already a member" in next(lines)
        n4.start().wait_until_serving()
        assert "n4: up" in [line.strip() for line in lines]
    assert n4.replica_id() in added(fleet, "n4")
    wait_until(lambda: n4.times_logged("unsent_writes_replayed"), 30, "its unsent writes to be made anew")
    fleet.agree(*OTHERS, "n4")
    for node in fleet.members((*OTHERS, "n4")):
        assert node.counter("hits") == 1008
        assert node.elements("who") == ["n1", "n2", "n3", "n4"]


def test_a_dry_run_changes_nothing(fleet, deltaic):
    before = [deltaic.json("node", "list"), fleet.views(), deltaic.file.read_text()]
    said = deltaic("node", "remove", "n3", "--dry-run")
    assert "it runs; it would stop by itself" in said
    assert "other members have all of them" in said
    assert [deltaic.json("node", "list"), fleet.views(), deltaic.file.read_text()] == before
    assert fleet["n3"].running


# Being away -------------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(directory: Path) -> Iterator[Fleet]:
    """Three nodes that go on without a member that is away for a second."""
    with Fleet(directory, nodes=3, valkey_each=True, settings="[membership]\nfence_after_s = 1\n") as fleet:
        yield fleet


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_member_that_is_away_for_too_long_is_fenced_and_comes_back_with_its_unsent_writes(impatient, how):
    fleet, n3 = impatient, impatient["n3"]
    deltaic = Command(fleet.directory / "fleet.toml")
    fleet["n1"].increment("hits", 5)
    fleet["n1"].add("fruit", "apple", "pear")
    fleet["n1"].set("colour", "red")
    fleet.agree()

    fleet.cut(OTHERS, ["n3"])
    n3.increment("hits", 10)
    n3.decrement("hits", 3)
    n3.add("fruit", "kiwi")
    n3.remove("fruit", "pear")
    n3.set("colour", "blue")
    n3.increment("own")
    if how == "stopped":
        n3.stop()
    else:
        n3.suspend()
    fleet["n1"].remove("fruit", "apple")
    fleet["n2"].increment("hits", 100)
    fleet.agree(*OTHERS)

    def fenced() -> bool:
        compact(OTHERS)
        return all(standing(fleet[name], "n3") not in {"ACTIVE", "unknown"} for name in OTHERS)

    compact(OTHERS)
    status = deltaic.json("status")
    assert status["nodes"]["n1"]["markers"] == 1
    assert status["nodes"]["n1"]["waiting"]["held_by"] == {"n3": 1}
    wait_until(fenced, 30, "n3 to be fenced")
    known = member(fleet["n1"], "n3")
    assert known is not None
    assert known.reason == "absent"

    def forgotten() -> bool:
        compact(OTHERS)
        return all(fleet[name].metrics()["markers"] == 0 for name in OTHERS)

    wait_until(forgotten, 30, "the removal markers to be forgotten")

    fleet.heal()
    if how == "stopped":
        n3.start()
    else:
        n3.resume()
    wait_until(lambda: n3.is_serving() and n3.replica_id() == "n3.2", 60, f"n3 to come back; {n3.last_words()}")
    wait_until(lambda: n3.times_logged("unsent_writes_replayed"), 30, "its unsent writes to be made anew")
    fleet.agree()
    assert fleet.everywhere("counter", "hits") == [112] * 3
    assert fleet.everywhere("counter", "own") == [1] * 3
    assert fleet.everywhere("elements", "fruit") == [["kiwi"]] * 3
    assert fleet.everywhere("register", "colour") == [["blue"]] * 3
    wait_until_folded(fleet, "n3", ("n1", "n2", "n3"))
    assert n3.stop() == 0
    n3.start().wait_until_serving()
    assert n3.replica_id() == "n3.2"
    fleet.agree()
    assert fleet.everywhere("counter", "hits") == [112] * 3, "replayed once"


def test_a_member_that_is_away_for_a_moment_is_not_fenced(impatient):
    fleet = impatient
    fleet["n3"].stop()
    compact(OTHERS)
    fleet["n3"].start().wait_until_serving()
    wait_until(lambda: not (compact(OTHERS), header(fleet, "n1", "absent"))[1], 10, "n3 to be seen again")
    assert standing(fleet["n1"], "n3") in {"unknown", "ACTIVE"}


# The reserved key -------------------------------------------------------------------------------------------------


def test_nobody_writes_to_the_key_of_the_members(fleet):
    n1, key = fleet["n1"], "deltaic:members"
    n1.control.AddNode(pb.AddNodeRequest(node="n9", grpc="localhost:1", redis="redis://localhost:1"), timeout=10)
    calls = (
        lambda: n1.add(key, "n8"),
        lambda: n1.remove(key, "n9"),
        lambda: n1.increment(key),
        lambda: n1.set(key, "x"),
        lambda: n1.delete(key),
        lambda: n1.elements(key),
        lambda: n1.inspect(key),
    )
    for call in calls:
        with pytest.raises(grpc.RpcError, match="reserved"):
            call()
    forged = {"v": 1, "origin": "stranger", "since": {}, "clock": {"stranger": 1}, "stable": {}, "hlc": [0, 0]}
    forged["parts"] = [[key, "members", "n8", {"stranger:1": ["active", "n8", "", ""]}]]
    with pytest.raises(grpc.RpcError, match="stranger is no member"):
        n1.merge(forged)
    assert standing(n1, "n8") == "unknown"

"""Nodes of 0.1.0 (n1, n2) and of the present code (n3, n4) in one fleet: everything that nodes say to each other.

Neither version may set aside a message of the other, and all nodes must read the same out of the same state.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.errors import CorruptState
from tests.fleet import Fleet
from tests.support import wait_until
from tests.upgrade.answers import about_keys, differences, keys_of
from tests.upgrade.versions import PRESENT, restart, run_version
from tests.workers.resp.raw import Raw
from workers import jobs
from workers.rpc import deltaic_pb2 as pb
from workers.wire.keys import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.upgrade.installation import Installation

OLD, NEW = ("n1", "n2"), ("n3", "n4")
ONE_OF_EACH = (("n1", "n3"), ("n3", "n1"))
MANY = 300
"""Members of a set that takes several chunks."""


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, old: Installation) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("mixed"), nodes=4, valkey_each=True, gossip={"chunk_bytes": 1024})
    run_version(fleet.members(OLD), old.deltaic)
    with fleet:
        yield fleet


@pytest.fixture
def fleet(mixed: Fleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Nodes of both versions; all hear each other, and agree afterwards."""
    monkeypatch.setenv("DELTAIC_FILE", str(mixed.directory / "fleet.toml"))
    yield mixed
    mixed.heal()
    mixed.sync_all()
    mixed.agree()
    assert {name: mixed.quarantined(name) for name in mixed.nodes} == {name: [] for name in mixed.nodes}


def do(fleet: Fleet, name: str, *commands: Sequence[bytes | str]) -> list[Any]:
    """The replies of the node's Redis face; none is an error."""
    with Raw(fleet[name].resp_port) as client:
        replies = [client.call(*(w if isinstance(w, bytes) else w.encode() for w in words)) for words in commands]
    assert not [reply for reply in replies if isinstance(reply, Exception)], replies
    return replies


def write_of_every_kind(fleet: Fleet, name: str) -> None:
    """Writes that no other node has seen, to keys that all nodes write to."""
    node = fleet[name]
    node.increment("grpc counter", 3)
    node.increment("grpc grow-only", 3, kind=pb.GROW_ONLY_COUNTER)
    node.add("grpc set", f"of {name}")
    node.set("grpc register", f"of {name}")
    node.set("grpc timed", f"of {name}", timestamp=7)
    node.objects.SetFlag(pb.SetFlagRequest(flag_id="grpc flag", enabled=name == "n1"), timeout=10)
    do(
        fleet,
        name,
        ("SET", "string", f"of {name}"),
        ("SET", "number", "100"),
        ("INCRBY", "number", "5"),
        ("INCR", "counter"),
        ("SADD", "set", "all", f"of {name}", b"\xff"),
        ("SREM", "set", "all"),
        ("DELTAIC.RWSADD", "banned", "all", f"of {name}"),
        ("DELTAIC.RWSREM", "banned", "all"),
        ("HSET", "hash", "field", f"of {name}", f"of {name}", "v"),
        ("HINCRBY", "hash", "count", "2"),
        ("HINCRBYFLOAT", "hash", "float", "0.5"),
        ("DELTAIC.MVSET", b"mv \xfe", f"of {name}"),
        ("DELTAIC.EWENABLE", "ew"),
        ("DELTAIC.DWENABLE", "dw"),
        ("PEXPIREAT", "set", f"41024448000{name[1]}0"),
        ("SET", "until", "v", "PXAT", f"41024448000{name[1]}0"),
        ("DEL", "rivals"),
        ("SADD", "rivals", "a set") if name in OLD else ("HSET", "rivals", "a", "hash"),
        ("SADD", "to clear", f"of {name}"),
    )


def reads_alike(fleet: Fleet) -> None:
    """All nodes answer every question about every key in the same way."""
    keys = keys_of(fleet["n1"].resp_port)
    assert len(keys) > 10
    first = about_keys(fleet["n1"].resp_port, keys)
    for name in ("n2", *NEW):
        found = differences(first, about_keys(fleet[name].resp_port, keys))
        assert not found, f"n1 and {name} read differently:\n" + "\n".join(found)


# Replication


def test_deltas_pass_both_ways(fleet: Fleet) -> None:
    """No rounds are run: what arrives has come through the logs."""
    for name in fleet.nodes:
        write_of_every_kind(fleet, name)
    fleet.agree()
    do(fleet, "n1", ("DEL", "to clear"), ("HDEL", "hash", "field"), ("DEL", "counter"))
    do(fleet, "n3", ("SADD", "to clear", "again"), ("DEL", "string", "mv"), ("INCR", "counter"))
    fleet.agree()
    reads_alike(fleet)


def test_a_healed_partition_between_the_versions_is_bridged_by_patches_in_chunks(fleet: Fleet) -> None:
    fleet.agree()
    before = {name: fleet[name].metrics() for name in fleet.nodes}
    fleet.cut(OLD, NEW)
    for name in fleet.nodes:
        write_of_every_kind(fleet, name)
    for name in ("n1", "n3"):
        do(fleet, name, ("SADD", f"large {name}", *(f"member {number}" for number in range(MANY))))
        do(fleet, name, ("DEL", "to clear"), ("SREM", "set", f"of {name}"), ("SPOP", "banned"))
    fleet.agree(*OLD)
    fleet.agree(*NEW)
    for name in fleet.nodes:
        fleet.redis(name).delete(fleet[name].keys.log)  # so nothing but patches can bring it
    fleet.heal()
    fleet.sync_all()
    fleet.agree()
    grown = {name: fleet[name].metrics() - before[name] for name in fleet.nodes}
    for versions in (OLD, NEW):
        for metric in ("patches_sent", "patches_joined", "chunks_received"):
            assert any(grown[name][metric] for name in versions), f"no {metric} at {versions}: {grown}"
    reads_alike(fleet)


@pytest.mark.parametrize(("asking", "asked"), ONE_OF_EACH)
def test_a_round_of_either_version_contacts_the_other(fleet: Fleet, asking: str, asked: str) -> None:
    fleet.cut([asking], [asked])
    fleet[asking].add("rounds", f"of {asking}")
    fleet[asked].add("rounds", f"of {asked}")
    fleet.heal()
    report = fleet.round(asking, asked)
    assert (report["peers_contacted"], report["peers_failed"]) == ([asked], [])
    assert {f"of {asking}", f"of {asked}"} <= set(fleet[asking].elements("rounds"))


@pytest.mark.parametrize(("between", "ends"), [("n3", OLD), ("n1", NEW)])
def test_nodes_of_one_version_hear_of_each_other_through_one_of_the_other(
    fleet: Fleet, between: str, ends: tuple[str, str]
) -> None:
    one, other = ends
    (outside,) = fleet.nodes.keys() - {between, *ends}
    fleet.cut([one], [other])
    fleet.cut([outside], ends)
    fleet[one].add("passed on", f"of {one} through {between}")
    wait_until(lambda: fleet[between].elements("passed on"), 20, f"{between} to hear of it")
    fleet[other].sync(between)
    assert f"of {one} through {between}" in fleet[other].elements("passed on")


def test_what_0_1_0_has_left_in_an_inbox_is_taken_in(fleet: Fleet, old: Installation) -> None:
    """Messages of both versions wait for n2, which is killed before it reads them."""
    fleet.agree()
    n2 = fleet["n2"]
    n2.suspend()
    for name in ("n1", "n3"):
        fleet[name].add("left", f"of {name}")
    for name in ("n1", "n3"):
        assert fleet[name].sync("n2").peers_failed == ["n2"]
    assert fleet.redis("n2").xlen(n2.keys.inbox) > 0
    n2.kill()
    run_version([n2], PRESENT)
    n2.start().wait_until_serving(60)
    fleet.agree()
    assert n2.elements("left") == ["of n1", "of n3"]
    wait_until(lambda: fleet.redis("n2").xpending(n2.keys.inbox, GROUP)["pending"] == 0, 10, "the inbox to be read")
    assert n2.stop() == 0
    run_version([n2], old.deltaic)
    n2.start().wait_until_serving(60)


# Members


def members(fleet: Fleet, name: str) -> dict[str, str]:
    """The standing of each replica id that the node knows."""
    found = fleet[name].control.Members(pb.MembersRequest(), timeout=10).members
    return {member.replica: pb.Standing.Name(member.standing) for member in found}


def wait_until_folded(fleet: Fleet, replica: str) -> None:
    def folded() -> bool:
        for name in fleet.nodes:
            jobs.compact(name)
        return all(members(fleet, name).get(replica) == "FOLDED" for name in fleet.nodes)

    wait_until(folded, 40, f"{replica} to be folded at every node")


@pytest.mark.parametrize(("newcomer", "sponsors"), [("present", OLD), ("0.1.0", NEW)])
def test_a_node_of_either_version_joins_through_the_other_and_leaves(
    fleet: Fleet, old: Installation, newcomer: str, sponsors: tuple[str, str]
) -> None:
    """All the state is fetched in chunks from a node of the other version: those of its own do not run meanwhile."""
    program = {"present": PRESENT, "0.1.0": old.deltaic}
    others = {name: program["present" if name in NEW else "0.1.0"] for name in fleet.nodes if name not in sponsors}
    write_of_every_kind(fleet, sponsors[0])
    fleet.agree()
    for name in others:
        assert fleet[name].stop() == 0
    name = "n5" if newcomer == "present" else "n6"
    node = fleet.newcomer(name)
    file = fleet.directory / "fleet.toml"
    before = file.read_text("utf-8")
    try:
        request = pb.AddNodeRequest(node=name, grpc=node.address, redis=fleet.valkeys[name].url)
        replica = fleet[sponsors[0]].control.AddNode(request, timeout=10).replica
        run_version([node], program[newcomer])
        section = f'[nodes.{name}]\ngrpc = "{node.address}"\nredis = "{fleet.valkeys[name].url}"\n'
        file.write_text(f"{section}\n{before}", "utf-8")
        node.start().wait_until_serving(60)
        for other in others:
            fleet[other].start()
        for other in others:
            fleet[other].wait_until_serving(60)
        node.add("set", f"of {name}")
        fleet.agree()
        assert [members(fleet, other)[replica] for other in ("n1", "n3")] == ["ACTIVE", "ACTIVE"]
        fleet[sponsors[1]].control.RemoveNode(pb.RemoveNodeRequest(node=name), timeout=10)
        node.exit_code()
    finally:
        fleet.nodes.pop(name).discard()
        file.write_text(before, "utf-8")
    wait_until_folded(fleet, replica)
    fleet.agree()
    assert all(replica not in node.clock() for node in fleet.nodes.values())
    reads_alike(fleet)


@pytest.mark.parametrize("name", ["n2", "n4"])
def test_a_node_whose_redis_lost_everything_comes_back(fleet: Fleet, name: str) -> None:
    """The others write its new id down, whatever version it asks, and fold the former one away."""
    write_of_every_kind(fleet, name)
    fleet.agree()
    former = fleet[name].replica_id()
    fleet[name].kill()
    fleet.redis(name).flushall()
    fleet[name].start().wait_until_serving(60)
    assert fleet[name].replica_id() != former
    wait_until_folded(fleet, former)
    fleet[name].add("set", f"of {name} again")
    fleet.agree()
    reads_alike(fleet)


# What is new


def test_a_write_of_a_type_that_0_1_0_lacks_waits_for_the_upgrade(tmp_path: Path, old: Installation) -> None:
    """0.1.0 sets it aside, and serves on without what came after it. A node that has it cannot go back to 0.1.0."""
    fleet = Fleet(tmp_path, nodes=2, valkey_each=True)
    n1, n2 = fleet.nodes.values()
    run_version([n1], old.deltaic)
    with fleet:
        with Raw(n2.resp_port) as client:
            assert client.call(b"PFADD", b"visitors", b"a", b"b") == 1
        n2.increment("later")
        n1.increment("meanwhile")
        wait_until(lambda: n2.counter("meanwhile") == 1, 20, "n2 to hear of n1")
        wait_until(lambda: fleet.quarantined("n1"), 20, "n1 to set the new type aside")
        assert (n1.is_serving(), n1.counter("later")) == (True, 0)
        restart(n1, PRESENT)
        fleet.agree()
        assert n1.counter("later") == 1
        assert do(fleet, "n1", ("PFCOUNT", "visitors")) == [2]
        assert n1.stop() == 0
        run_version([n1], old.deltaic)
        n1.start()
        assert n1.exit_code() == CorruptState.exit_code


# People and their tools


@pytest.mark.parametrize("version", ["present", "0.1.0"])
def test_the_command_of_either_version_speaks_to_nodes_of_both(fleet: Fleet, old: Installation, version: str) -> None:
    deltaic = {"present": PRESENT, "0.1.0": old.deltaic}[version]
    key = f"by the command of {version}"

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [deltaic, "--file", fleet.directory / "fleet.toml", *arguments], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run("partition", ",".join(OLD), ",".join(NEW))
    for name in ("n1", "n3"):
        run("incr", key, "2", "--node", name)
    run("heal")
    run("sync")
    fleet.agree()
    run("diff", key)
    assert f"{key} = 4" in run("get", key).replace('"', "").replace("'", "")
    assert "4 of 4 nodes up" in run("status")
    assert "active" in run("node", "list")

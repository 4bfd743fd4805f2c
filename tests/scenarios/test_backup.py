"""Backups of real nodes: consistent though taken under load, restored without bringing back what is gone, or refused.

n1 is the node that is backed up, as a rule. Every node has a Valkey of its own.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

import grpc
import orjson
import pytest

from crdt_core.codec.patches import encode_patch
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from tests.crdt_core.histories import values
from tests.fleet import Fleet, code_of
from tests.load import Load
from tests.support import DELTAIC, wait_until
from workers.config.loading import load_settings
from workers.jobs import maintenance as jobs
from workers.rpc import deltaic_pb2 as pb
from workers.storage.ownership import Ownership
from workers.storage.restore import read_image
from workers.storage.restore import restore as restore_image
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crdt_core.node.image import Image
    from workers.wire.connection import RedisCommand

CHUNK_BYTES = 32 << 10
MANY = 30_000
NOW = Stamp(1, 0)


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    with Fleet(tmp_path / "fleet", nodes=3, valkey_each=True, gossip={"chunk_bytes": CHUNK_BYTES}) as fleet:
        monkeypatch.setenv("DELTAIC_FILE", str(fleet.directory / "fleet.toml"))
        yield fleet


def deltaic(fleet: Fleet, *words: str | Path, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [DELTAIC, "--file", fleet.directory / "fleet.toml", *words]
    return subprocess.run(command, input=data, capture_output=True, timeout=120)


def back_up(fleet: Fleet, file: Path, node: str = "n1") -> Path:
    done = deltaic(fleet, "backup", file, "--node", node)
    assert done.returncode == 0, done.stderr
    assert not file.with_name(f"{file.name}.part").exists()
    return file


def restore(fleet: Fleet, file: Path, node: str, *options: str) -> None:
    done = deltaic(fleet, "restore", file, "--node", node, *options)
    assert done.returncode == 0, done.stderr


def read(file: Path) -> Image:
    with file.open("rb") as lines:
        return read_image(lines)


def many_elements(key: bytes, count: int = MANY) -> bytes:
    """A patch by which somebody has added so many elements in one commit."""
    replica = Replica(f"maker-of-{key.decode()}")
    for number in range(count):
        replica.write(key, ORSET, b"element %d" % number, True)
    replica.commit(NOW)
    return encode_patch(replica.patch(None, NOW))


def compact(fleet: Fleet) -> None:
    """Every node has forgotten all removals."""

    def forgotten() -> bool:
        for name in fleet.nodes:
            jobs.compact(name)
        return not any(node.metrics()["markers"] for node in fleet.nodes.values())

    wait_until(forgotten, 30, "all markers to be forgotten")


def lose_everything(fleet: Fleet, *names: str) -> None:
    """The workers are killed, and their Redis are empty."""
    for name in names:
        fleet[name].kill()
        fleet.redis(name).delete(*fleet.redis(name).keys("*"))


# Taking one


@contextmanager
def pairs_written(fleet: Fleet, name: str) -> Iterator[list[int]]:
    """Meanwhile, somebody adds to two sets at once, again and again; the numbers of those that were acknowledged."""
    writer, written, stop = Replica("writer"), [], threading.Event()

    def write() -> None:
        while not stop.is_set():
            number = len(written)
            for key in (b"left", b"right"):
                writer.write(key, ORSET, b"%d" % number, True)
                if number >= 50:
                    writer.write(key, ORSET, b"%d" % (number - 50), ORSET.removal(writer.view(key, ORSET), b""))
            before = writer.clock.copy()
            writer.commit(NOW)
            patch = encode_patch(writer.patch(before, NOW))
            fleet[name].replication.Merge(pb.MergeRequest(patch=patch), timeout=15)
            written.append(number)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield written
    finally:
        stop.set()
        thread.join()


def test_a_backup_under_load_is_of_one_moment(fleet: Fleet, tmp_path: Path) -> None:
    """What was written together is in it together, and whatever had been acknowledged before it began is in it."""
    fleet["n1"].replication.Merge(pb.MergeRequest(patch=many_elements(b"many")), timeout=30)
    with pairs_written(fleet, "n1") as written, Load(fleet["n1"].address, 1, "load") as load:
        wait_until(lambda: len(written) > 60, 30, "some pairs")
        before, added = len(written), set(load.acknowledged)
        pieces = fleet["n1"].control.Backup(pb.BackupRequest(), timeout=120)
        lines = b"".join(piece.lines for piece in pieces)
        during = len(written) - before
    assert during > 5, "the node did not go on serving"
    image = read_image(lines.splitlines(keepends=True))
    assert len(lines.splitlines()) > 20
    state = values(image.revive())
    assert state[b"left", "orset"] == state[b"right", "orset"]
    assert len(state[b"many", "orset"]) == MANY
    assert {written.name.encode() for written in added if "ELEMENT" in written.kind.name} <= set(
        state[b"load-elements", "orset"]
    )
    clock = fleet["n1"].clock()
    assert all(counter <= clock[replica] for replica, counter in image.state.clock.items())


def test_a_backup_can_be_piped(fleet: Fleet) -> None:
    fleet["n1"].increment("hits", 3)
    done = deltaic(fleet, "backup", "-", "--node", "n1")
    assert done.returncode == 0, done.stderr
    image = read_image(done.stdout.splitlines(keepends=True))
    assert values(image.revive())[b"hits", "pncounter"] == 3
    lose_everything(fleet, "n1")
    done = deltaic(fleet, "restore", "-", "--node", "n1", data=done.stdout)
    assert done.returncode == 0, done.stderr


def test_a_backup_that_comes_to_nothing_leaves_the_one_before(fleet: Fleet, tmp_path: Path) -> None:
    file = back_up(fleet, tmp_path / "image")
    content = file.read_bytes()
    fleet["n1"].kill()
    done = deltaic(fleet, "backup", file, "--node", "n1")
    assert done.returncode == 3
    assert b"n1" in done.stderr
    assert file.read_bytes() == content
    assert {path.name for path in tmp_path.iterdir()} == {"fleet", "image"}
    done = deltaic(fleet, "backup", tmp_path / "nowhere" / "image", "--node", "n2")
    assert done.returncode == 2
    assert b"No such file or directory" in done.stderr


def test_a_client_that_goes_leaves_nothing_under_way(fleet: Fleet) -> None:
    """More backups than may be made at once are begun and given up, one after the other."""
    fleet["n1"].replication.Merge(pb.MergeRequest(patch=many_elements(b"many")), timeout=30)
    for _ in range(6):
        pieces = fleet["n1"].control.Backup(pb.BackupRequest(), timeout=60)
        assert not next(pieces).ended
        pieces.cancel()
        wait_until(pieces.done, 10, "the call to end")
    pieces = list(fleet["n1"].control.Backup(pb.BackupRequest(), timeout=60))
    assert pieces[-1].ended


# Into a fleet that lives


def test_a_restored_node_brings_nothing_back_and_loses_nothing(fleet: Fleet, tmp_path: Path) -> None:
    """All removals since the backup are forgotten by then; what only the backup holds comes to everybody."""
    for name in fleet.nodes:
        fleet[name].increment("hits", 10)
        fleet[name].increment("reset", 100)
        fleet[name].add("set", f"old of {name}", f"kept of {name}")
        fleet[name].add("cleared", f"of {name}")
    fleet["n2"].set("register", "old")
    fleet.agree()
    fleet.cut(["n1"], ["n2", "n3"])
    fleet["n1"].increment("hits", 1)
    fleet["n1"].add("set", "only in the backup")
    file = back_up(fleet, tmp_path / "image")
    lose_everything(fleet, "n1")
    for name in ("n2", "n3"):
        fleet[name].increment("hits", 1000)
        fleet[name].remove("set", f"old of {name}")
    fleet["n2"].remove("set", "old of n1")
    fleet["n3"].delete("reset")
    fleet["n3"].delete("cleared")
    fleet["n3"].increment("reset", 7)
    fleet["n2"].set("register", "new")
    fleet.agree("n2", "n3")

    restore(fleet, file, "n1")
    fleet.heal()
    fleet["n1"].start().wait_until_serving()
    fleet.agree()
    assert fleet["n1"].replica_id() == "n1.2"
    check_restored(fleet)
    compact(fleet)
    for name in fleet.nodes:
        fleet[name].increment("hits", 1)
    fleet.agree()
    assert fleet.everywhere("counter", "hits") == [2034] * 3


def check_restored(fleet: Fleet) -> None:
    kept = sorted([*(f"kept of {name}" for name in fleet.nodes), "only in the backup"])
    assert fleet.everywhere("elements", "set") == [kept] * 3
    assert fleet.everywhere("elements", "cleared") == [[]] * 3
    assert fleet.everywhere("counter", "hits") == [2031] * 3
    assert fleet.everywhere("counter", "reset") == [7] * 3
    assert fleet.everywhere("register", "register") == [["new"]] * 3


@pytest.mark.parametrize("target", ["n1", "n2"])
def test_an_old_backup_of_any_node_resurrects_nothing_that_all_have_forgotten(
    fleet: Fleet, tmp_path: Path, target: str
) -> None:
    for name in fleet.nodes:
        fleet[name].increment("hits", 10)
        fleet[name].add("set", f"old of {name}", f"kept of {name}")
        fleet[name].add("cleared", f"of {name}")
    fleet.agree()
    file = back_up(fleet, tmp_path / "image")
    for name in fleet.nodes:
        fleet[name].remove("set", f"old of {name}")
        fleet[name].add("set", f"new of {name}")
    fleet["n3"].delete("hits")
    fleet["n3"].delete("cleared")
    fleet.agree()
    compact(fleet)
    fleet["n1"].increment("hits", 1)
    fleet[target].increment("hits", 2)
    fleet.agree()

    fleet[target].stop()
    refused = deltaic(fleet, "restore", file, "--node", target)
    assert refused.returncode == 2
    assert b"--force" in refused.stderr
    restore(fleet, file, target, "--force")
    fleet[target].start().wait_until_serving()
    fleet.agree()
    assert fleet[target].replica_id() == f"{target}.2"
    expected = sorted(f"{age} of {name}" for name in fleet.nodes for age in ("kept", "new"))
    assert fleet.everywhere("elements", "set") == [expected] * 3
    assert fleet.everywhere("elements", "cleared") == [[]] * 3
    assert fleet.everywhere("counter", "hits") == [3] * 3
    for name in fleet.nodes:
        fleet[name].increment("hits", 10)
    fleet.agree()
    assert fleet.everywhere("counter", "hits") == [33] * 3
    compact(fleet)
    wait_until(lambda: folded(fleet, target), 30, f"{target} to be folded")
    fleet.agree()
    assert fleet.everywhere("counter", "hits") == [33] * 3


def folded(fleet: Fleet, replica: str) -> bool:
    """Whether no clock speaks of `replica` any more."""
    for name in fleet.nodes:
        jobs.compact(name)
    return not any(replica in node.clock() for node in fleet.nodes.values())


def test_a_backup_from_before_its_id_was_folded_brings_nothing_to_the_fleet(fleet: Fleet, tmp_path: Path) -> None:
    """The backup holds writes that nobody else had heard of when the fleet went on without that id, for good."""
    fleet["n1"].increment("hits", 1)
    fleet.agree()
    fleet.cut(["n1"], ["n2", "n3"])
    fleet["n1"].increment("hits", 10)
    file = back_up(fleet, tmp_path / "image")
    lose_everything(fleet, "n1")
    fleet.heal()
    fleet["n1"].start().wait_until_serving()
    wait_until(lambda: folded(fleet, "n1"), 30, "n1 to be folded")
    fleet["n1"].increment("hits", 100)
    fleet.agree()
    fleet["n1"].stop()
    restore(fleet, file, "n1", "--force")
    fleet["n1"].start().wait_until_serving()
    fleet.agree()
    assert fleet["n1"].replica_id() == "n1.3"
    assert "commits of n1 that the fleet has abandoned" in fleet["n1"].log.read_text()
    assert fleet.everywhere("counter", "hits") == [101] * 3
    assert not any(fleet.quarantined(name) for name in fleet.nodes)


# When all is lost


@pytest.mark.parametrize("also", [(), ("n2",), ("n2", "n3")])
def test_a_whole_fleet_comes_back_from_one_backup(fleet: Fleet, tmp_path: Path, also: tuple[str, ...]) -> None:
    for name in fleet.nodes:
        fleet[name].increment("hits", 10)
        fleet[name].add("set", f"of {name}", f"gone of {name}")
        fleet[name].remove("set", f"gone of {name}")
    fleet.agree()
    file = back_up(fleet, tmp_path / "image")
    lose_everything(fleet, *fleet.nodes)
    for name in ("n1", *also):
        restore(fleet, file, name)
    fleet["n1"].start()
    wait_until(lambda: fleet["n1"].times_logged("bootstrap_delayed"), 30, "n1 to wait for a sponsor")
    assert fleet["n1"].stop() == 0
    fleet["n1"].start("--unsponsored").wait_until_serving()
    for name in ("n2", "n3"):
        fleet[name].start().wait_until_serving()
    fleet.agree()
    assert fleet.everywhere("counter", "hits") == [30] * 3
    assert fleet.everywhere("elements", "set") == [[f"of {name}" for name in fleet.nodes]] * 3
    for name in fleet.nodes:
        fleet[name].increment("hits", 1)
        fleet[name].remove("set", f"of {name}")
    fleet.agree()
    assert fleet.everywhere("counter", "hits") == [33] * 3
    assert fleet.everywhere("elements", "set") == [[]] * 3
    fleet["n1"].stop()
    fleet["n1"].start().wait_until_serving()
    assert fleet["n1"].replica_id() == "n1.2"


def test_a_node_that_was_alone_comes_back_by_itself(tmp_path: Path) -> None:
    with Fleet(tmp_path / "fleet", nodes=1) as fleet:
        fleet["n1"].increment("hits", 5)
        file = back_up(fleet, tmp_path / "image")
        fleet["n1"].increment("hits", 1)
        fleet["n1"].stop()
        restore(fleet, file, "n1", "--force")
        fleet["n1"].start().wait_until_serving()
        assert fleet["n1"].counter("hits") == 5
        assert fleet["n1"].replica_id() == "n1.2"


# What goes wrong


class Killed(Exception):
    """What a process that is killed would not live to raise."""


def restore_until(fleet: Fleet, file: Path, node: str, step: int | None) -> None:
    """A restore that ends before its `step`th write to Redis, or its last, as if it had been killed there."""
    writes = count()
    transact = Ownership.transact

    async def transact_or_die(ownership: Ownership, *commands: RedisCommand) -> None:
        if "restored" in commands[-1] if step is None else next(writes) == step:
            ownership.wire.close()
            raise Killed
        await transact(ownership, *commands)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ownership, "transact", transact_or_die)
        patch.setattr("workers.storage.requests.BATCH_COMMANDS", 3)
        patch.setattr("workers.storage.requests.FIELDS_PER_COMMAND", 20)
        patch.setattr("workers.storage.object_keys.KEYS_PER_SCAN", 1)
        asyncio.run(restore_image(load_settings(fleet.directory / "fleet.toml"), node, read(file), force=True))


def test_a_restore_killed_anywhere_leaves_no_replica_and_can_be_done_again(fleet: Fleet, tmp_path: Path) -> None:
    """What the killed ones had written, of another image, does not show afterwards."""
    for number in range(10):
        fleet["n1"].merge(orjson.loads(many_elements(b"set-%d" % number, 50)))
    large = back_up(fleet, tmp_path / "large")
    fleet["n2"].increment("hits", 1)
    for number in range(10):
        fleet["n1"].delete(f"set-{number}")
    fleet.agree()
    small = back_up(fleet, tmp_path / "small")
    fleet["n1"].stop()
    redis, keys = fleet.redis("n1"), Keys("n1")
    before = everything_in(fleet, "n1")
    steps = 0
    with pytest.raises(Killed):
        restore_until(fleet, large, "n1", 0)
    assert {**everything_in(fleet, "n1"), keys.header.encode(): b""} == {**before, keys.header.encode(): b""}
    assert redis.hget(keys.header, "replica") == b"n1"
    for steps in count(1):
        try:
            restore_until(fleet, large, "n1", steps)
        except Killed:
            assert redis.hget(keys.header, "replica") is None
            assert redis.hget(keys.header, "restoring") == b"1"
        else:
            break
    assert steps > 10
    assert redis.hget(keys.header, "replica") == b"n1"
    with pytest.raises(Killed):
        restore_until(fleet, large, "n1", None)
    wait_until(lambda: redis.exists(keys.record(b"obj:set-9")), what="Redis to have done what it was sent last")
    assert fleet["n1"].start().exit_code() == 7
    assert "run `deltaic restore` again" in fleet["n1"].last_words()

    restore(fleet, small, "n1")
    assert not redis.exists(keys.record(b"obj:set-9"))
    fleet["n1"].start().wait_until_serving()
    fleet.agree()
    fleet["n1"].add("set-9", "one")
    fleet["n1"].stop()
    fleet["n1"].start().wait_until_serving()
    fleet.agree()
    assert fleet.everywhere("elements", "set-9") == [["one"]] * 3
    assert fleet.everywhere("counter", "hits") == [1] * 3


def test_a_restore_that_is_refused_changes_nothing(fleet: Fleet, tmp_path: Path) -> None:
    fleet["n1"].add("set", *map(str, range(50)))
    file = back_up(fleet, tmp_path / "image")
    content = file.read_bytes()
    running = deltaic(fleet, "restore", file, "--node", "n1", "--force")
    assert running.returncode == 2
    assert b"n1 is running" in running.stderr
    fleet["n1"].stop()

    before = everything_in(fleet, "n1")
    spoilt = content.replace(b'"49"', b'"94"', 1)
    assert spoilt != content
    for wrong, reason in (
        (content[:-1], b"cut short"),
        (content[: len(content) // 2], b"cut short"),
        (b"", b"cut short"),
        (spoilt, b"checksum"),
        (content + b"{}\n", b"goes on after its end"),
        (b"deltaic = 1\n", b"line 1: not JSON"),
    ):
        file.write_bytes(wrong)
        done = deltaic(fleet, "restore", file, "--node", "n1", "--force")
        assert done.returncode == 1, done.stderr
        assert reason in done.stderr
        assert done.stderr.count(b"\n") == 1
    assert everything_in(fleet, "n1") == before
    file.write_bytes(content)
    assert deltaic(fleet, "restore", file, "--node", "n1").returncode == 2
    assert deltaic(fleet, "restore", file, "--node", "n9").returncode == 2
    assert deltaic(fleet, "restore", tmp_path / "nowhere", "--node", "n1").returncode == 2
    assert everything_in(fleet, "n1") == before
    fleet["n1"].start().wait_until_serving()
    assert fleet["n1"].replica_id() == "n1"
    fleet.agree()


def everything_in(fleet: Fleet, name: str) -> dict[bytes, bytes | None]:
    redis = fleet.redis(name)
    return {key: redis.dump(key) for key in redis.keys("*") if not key.endswith(b":alive")}


def test_a_replica_that_cannot_be_read_any_more_is_replaced(fleet: Fleet, tmp_path: Path) -> None:
    fleet["n1"].increment("hits", 3)
    fleet.agree()
    file = back_up(fleet, tmp_path / "image")
    fleet["n1"].stop()
    fleet.redis("n1").hset(Keys("n1").header, "clock", "spoilt")
    fleet.redis("n1").hset(Keys("n1").state, "hits", "spoilt")
    assert fleet["n1"].start().exit_code() == 7
    restore(fleet, file, "n1", "--force")
    fleet["n1"].start().wait_until_serving()
    fleet.agree()
    assert fleet.everywhere("counter", "hits") == [3] * 3


def test_a_backup_is_for_those_who_know_the_password(tmp_path: Path) -> None:
    with Fleet(tmp_path / "fleet", nodes=1) as fleet:
        fleet["n1"].stop()
        file = fleet.directory / "fleet.toml"
        file.write_text(file.read_text() + '[security]\npassword = "of-the-fleet"\n')
        fleet["n1"].start().wait_until_serving()
        with pytest.raises(grpc.RpcError) as refused:
            list(fleet["n1"].control.Backup(pb.BackupRequest(), timeout=10))
        assert code_of(refused.value) is grpc.StatusCode.UNAUTHENTICATED
        back_up(fleet, tmp_path / "image")

"""Every trouble that a Redis can have under a live worker: writes say why they fail, reads go on, nothing is half done.

n1's Redis has the trouble, n2's does not. Both live through all of it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import grpc
import pytest
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from crdt_core.errors import AlreadyRunning, StoreUnavailable
from tests.command import Command
from tests.fleet import Fleet, code_of
from tests.load import Load
from tests.proxy import Proxy
from tests.support import free_port, give_up, program, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fleet import Node
    from tests.server import ValkeyServer

WRITE_TIMEOUT_S = 1.0
COMMIT_TIMEOUT_S = 0.6


@pytest.fixture(scope="module")
def troubled(tmp_path_factory) -> Iterator[Fleet]:
    limits = {"write_timeout_ms": int(WRITE_TIMEOUT_S * 1000), "commit_timeout_ms": int(COMMIT_TIMEOUT_S * 1000)}
    directory = tmp_path_factory.mktemp("trouble")
    with Fleet(directory, nodes=2, appendfsync="always", valkey_each=True, limits=limits) as fleet:
        yield fleet


@pytest.fixture
def fleet(troubled) -> Fleet:
    troubled.agree()
    return troubled


# Each trouble lasts as long as its block, and yields what the worker must say of it. ----------------------------------


@contextmanager
def away(server: ValkeyServer) -> Iterator[str]:
    server.kill()
    try:
        yield "Redis cannot be reached: connection refused"
    finally:
        server.start()


@contextmanager
def frozen(server: ValkeyServer) -> Iterator[str]:
    """The kernel takes connections and bytes for it, and it does all that was asked of it when it wakes up."""
    server.suspend()
    try:
        yield f"Redis gave no answer for {COMMIT_TIMEOUT_S} s"
    finally:
        server.resume()


@contextmanager
def paused(server: ValkeyServer) -> Iterator[str]:
    """It answers what reads, and holds back what writes."""
    with server.client() as client:
        client.client_pause(60_000, all=False)
        try:
            yield f"Redis gave no answer for {COMMIT_TIMEOUT_S} s"
        finally:
            client.client_unpause()


@contextmanager
def full(server: ValkeyServer) -> Iterator[str]:
    with server.client() as client:
        client.config_set("maxmemory", 1)
        try:
            yield "Redis refuses: OOM command not allowed when used memory > 'maxmemory'"
        finally:
            client.config_set("maxmemory", 0)


@contextmanager
def read_only(server: ValkeyServer) -> Iterator[str]:
    """It was made the replica of a server that nobody can reach."""
    with server.client() as client:
        client.replicaof("127.0.0.1", free_port())
        try:
            yield "Redis refuses: READONLY You can't write against a read only replica"
        finally:
            client.replicaof("NO", "ONE")


@contextmanager
def unable_to_save(server: ValkeyServer) -> Iterator[str]:
    """A directory stands where its snapshot should go, and it takes no writes that it cannot save."""
    obstacle = server.directory / "dump.rdb"
    with server.client() as client:
        obstacle.mkdir()
        client.config_set("save", "3600 1000000")
        client.bgsave()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", what="the snapshot to fail")
        try:
            yield "Redis refuses: MISCONF"
        finally:
            client.config_set("save", "")
            obstacle.rmdir()


@contextmanager
def busy(server: ValkeyServer) -> Iterator[str]:
    """A script of somebody else does not end."""
    with server.client() as client, server.client() as other:
        client.config_set("busy-reply-threshold", 20)
        script = threading.Thread(target=_run_until_killed, args=(other,))
        script.start()
        try:
            wait_until(lambda: _is_busy(client), what="the server to be busy")
            yield "BUSY"
        finally:
            client.script_kill()
            script.join()


def _run_until_killed(client) -> None:
    with pytest.raises(RedisError):
        client.eval("while true do end", 0)


def _is_busy(client) -> bool:
    try:
        client.get("anything")
    except RedisError as error:
        return "BUSY" in str(error)
    return False


TROUBLES = [away, frozen, paused, full, read_only, unable_to_save, busy]


# What is promised ----------------------------------------------------------------------------------------------------


def refused(write: Callable[[], object]) -> str:
    """Why the write failed."""
    with pytest.raises(grpc.RpcError) as caught:
        write()
    assert code_of(caught.value) is grpc.StatusCode[StoreUnavailable.grpc_code]
    return caught.value.details()


def check_reads_at_once(node: Node, key: str, counter: int) -> None:
    """Reads are answered while Redis has its trouble; one that waited for Redis would fail in the end."""
    assert node.counter(key) == counter
    assert node.elements(f"{key} set") == ["a"]
    assert node.register(f"{key} register") == ["v"]
    assert node.inspect(key).value_json == b"%d" % counter


def write_when_possible(node: Node, key: str, amount: int) -> None:
    """Writes once: an attempt is only repeated where it says that nothing was changed."""

    def fails() -> str:
        try:
            node.increment(key, amount)
        except grpc.RpcError as error:
            return error.details()
        return ""

    def written() -> bool:
        why = fails()
        assert not why or "nothing was changed" in why
        return not why

    wait_until(written, 30, "the node to take writes again")


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_writes_say_why_they_fail_reads_go_on_and_nothing_is_half_done(fleet, key, trouble):
    n1, n2 = fleet["n1"], fleet["n2"]
    n1.increment(key)
    n1.add(f"{key} set", "a")
    n1.set(f"{key} register", "v")
    fleet.agree()
    with trouble(fleet.valkeys["n1"]) as reason, ThreadPoolExecutor() as pool:
        begun = pool.submit(refused, lambda: n1.increment(key, 10))
        wait_until(lambda: n1.times_logged("commit_interrupted") or begun.done(), what="the commit to be interrupted")
        check_reads_at_once(n1, key, 1)
        why = begun.result()
        assert reason in why
        assert "it may still take effect" in why
        for _ in range(3):  # waits, or is refused at once when the trouble has lasted
            why = refused(lambda: n1.increment(key, 100))
            assert reason in why
            assert "nothing was changed" in why
        check_reads_at_once(n1, key, 1)
        assert n1.status().node == "n1"
        check_told(fleet, reason)
        n2.increment(key, 1000)
        assert n2.counter(key) == 1001
        assert "links" in refused(n1.sync) or "no commit for" in refused(n1.sync)
    write_when_possible(n1, key, 10_000)
    fleet.agree()
    check_healthy(fleet)
    assert fleet.everywhere("counter", key) == [11_011] * 2
    assert all(node.running for node in fleet.nodes.values())
    check_stored(fleet, key)


def check_told(fleet: Fleet, reason: str) -> None:
    """Whoever asks how n1 is hears that it cannot write, and why; it once said that all was well."""
    n1, words = fleet["n1"], reason.removesuffix(f" {COMMIT_TIMEOUT_S} s")
    wait_until(lambda: not n1.is_serving(), 5, "the health check of gRPC to fail")
    with Redis(port=n1.resp_port) as client:
        with pytest.raises(ResponseError, match="MISCONF this node cannot write at present") as refusal:
            client.ping()
        info = client.info()
    assert words in str(refusal.value)
    assert (info["writable"], info["aof_last_write_status"]) == (0, "err")
    assert words in info["write_trouble"]
    with Redis(port=fleet["n2"].resp_port) as other:
        assert other.ping()
    said = Command(fleet.directory / "fleet.toml").run("status", "--json")
    status = json.loads(said.stdout)
    told = status["nodes"]["n1"]
    assert (said.returncode, status["healthy"]) == (3, False)
    assert words in (told["trouble"] or "") or told["problem"]
    assert status["nodes"]["n2"]["trouble"] is None


def check_healthy(fleet: Fleet) -> None:
    n1 = fleet["n1"]
    wait_until(n1.is_serving, 10, "the health check of gRPC to succeed")
    with Redis(port=n1.resp_port) as client:
        assert client.ping()
        info = client.info()
    assert (info["writable"], info["write_trouble"], info["aof_last_write_status"]) == (1, "", "ok")


def check_stored(fleet: Fleet, key: str) -> None:
    """What is in n1's Redis is what n1 shows; its log counts its commits one by one."""
    n1 = fleet["n1"]
    counters = [int(entry.removesuffix("-0")) for entry in fleet.own_log("n1")]
    assert counters == list(range(1, n1.clock()["n1"] + 1))
    before = n1.clock(), n1.digest()
    n1.kill()
    n1.start().wait_until_serving()
    assert (n1.clock(), n1.digest()) == before
    assert n1.counter(key) == 11_011


def test_a_full_disk_is_told_as_it_is(tmp_path, key):
    """Every write failed, and every health check was green."""
    fleet = Fleet(tmp_path, nodes=2, valkey_each=True)
    server = fleet.valkeys["n1"]
    with small_disk(server.directory), fleet:
        n1 = fleet["n1"]
        n1.increment(key)
        filler = server.directory / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with ThreadPoolExecutor() as pool:
            pool.submit(n1.set, f"{key} text", "x" * 10_000)  # it waits, or is the last one that fits
            check_told(fleet, "MISCONF")
            filler.unlink()
            check_healthy(fleet)


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """A disk of two megabytes is mounted at `directory`."""
    directory.mkdir()
    mount = [program("mount", "mount"), "-t", "tmpfs", "-o", "size=2m", "tmpfs", directory]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        give_up("this user may not mount a disk")
    try:
        yield
    finally:
        subprocess.run([program("umount", "mount"), "--lazy", directory], check=True)


@pytest.mark.parametrize("trouble", [away, frozen, full], ids=lambda trouble: trouble.__name__)
def test_a_trouble_under_load_loses_nothing_and_counts_nothing_twice(fleet, key, trouble):
    n1 = fleet["n1"]
    with Load(n1.address, 3, key) as load:
        load.wait_for_acknowledgements(30)
        with trouble(fleet.valkeys["n1"]):
            load.wait_until_stalled()
        load.wait_for_acknowledgements(30)
    fleet.agree()
    load.check(n1)
    load.check(fleet["n2"])


def test_a_trouble_that_is_over_in_time_is_only_waited_for(fleet, key):
    n1 = fleet["n1"]
    n1.increment(key)
    with ThreadPoolExecutor() as pool:
        with full(fleet.valkeys["n1"]):
            before = n1.times_logged("commit_interrupted")
            begun = pool.submit(n1.increment, key, 10)
            wait_until(lambda: n1.times_logged("commit_interrupted") > before, what="the commit to be refused")
        assert begun.result() == 11


def test_an_idle_worker_holds_its_replica_again_once_redis_has_been_restarted(fleet, key):
    """Nothing was lost, and nobody wrote: a second worker once found no owner's connection, and replaced a live one."""
    n1, redis = fleet["n1"], fleet.redis("n1")
    n1.increment(key)
    fleet.agree()
    given_back = n1.metrics()["repersisted"]
    with away(fleet.valkeys["n1"]):
        pass
    run_id = redis.info("server")["run_id"]
    wait_until(lambda: redis.hget(n1.keys.header, "run_id") == run_id.encode(), what="n1 to note the new process")
    second = fleet.elsewhere("n1").start()
    assert second.exit_code() == AlreadyRunning.exit_code
    assert n1.counter(key) == 1
    assert n1.metrics()["repersisted"] == given_back


def test_a_slow_redis_makes_batches_larger_and_reads_no_slower(fleet, key):
    """Each of its answers to commits takes long; what arrives meanwhile shares the next one."""
    assert fleet["n1"].stop() == 0
    slow = threading.Event()
    with Proxy(fleet.valkeys["n1"].port) as proxy, ThreadPoolExecutor(20) as pool:

        def delay(link, direction, data):
            if link.owns and direction == "reply" and not slow.is_set():
                slow.wait(0.3)
            return data

        n1 = fleet.elsewhere("n1", redis=proxy.url).start().wait_until_serving()
        n1.increment(key)
        commits = n1.metrics()["commits"]
        proxy.script = delay
        calls = [pool.submit(n1.increment, key) for _ in range(20)]
        reads = 0
        while not all(call.done() for call in calls):
            assert 1 <= n1.counter(key) <= 21
            reads += 1
        assert max(call.result() for call in calls) == 21
        slow.set()
        assert n1.metrics()["commits"] - commits <= 5
        assert reads > n1.metrics()["commits"] - commits, "a read waits for no commit"
        assert n1.stop() == 0
    fleet["n1"].start().wait_until_serving()


def test_a_worker_that_starts_on_a_frozen_redis_says_so_and_can_be_told_to_stop(fleet, key):
    n1 = fleet["n1"]
    n1.increment(key)
    assert n1.stop() == 0
    with frozen(fleet.valkeys["n1"]):
        before = n1.times_logged("redis_awaited")
        n1.start()
        wait_until(lambda: n1.times_logged("redis_awaited") > before, 20, "n1 to say what it waits for")
        assert n1.stop() == 0
    n1.start().wait_until_serving()
    assert n1.counter(key) == 1


def test_a_worker_whose_redis_is_frozen_ends_within_the_grace_of_its_keeper(fleet, key):
    from workers.processes.supervision import GRACE_S

    n1 = fleet["n1"]
    n1.increment(key)
    with frozen(fleet.valkeys["n1"]):
        n1.signal(signal.SIGTERM)
        assert n1.exit_code(GRACE_S) == StoreUnavailable.exit_code
    n1.start().wait_until_serving()
    assert n1.counter(key) == 1

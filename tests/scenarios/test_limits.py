"""What is over a limit is refused with an error that names the setting, and changes nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from redis.asyncio import Redis as AsyncRedis

from crdt_core.codec.messages import Ask
from crdt_core.lattice.clocks import VersionVector
from crdt_core.node.events import Send
from crdt_core.node.turn_context import QUARANTINED_BYTES_MAX
from tests.fleet import Fleet, code_of
from tests.support import DELTAIC, plain_environment, wait_until, wait_until_async
from workers.config.loading import checked
from workers.replication.outbox import Outbox
from workers.system.tasks import end
from workers.wire.keys import Keys
from workers.wire.peers import Peers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.server import ValkeyServer

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
INVALID = grpc.StatusCode.INVALID_ARGUMENT

CALLS_MAX = 4
MESSAGE_BYTES_MAX = 20_000
LOG_ENTRIES_MAX = 100
TRIMMED_BY = 100
"""Redis trims a stream by whole blocks of so many entries, where it is told that it need not be exact."""

LIMITS = {
    "key_bytes_max": 20,
    "value_bytes_max": 1000,
    "message_bytes_max": MESSAGE_BYTES_MAX,
    "concurrent_calls_max": CALLS_MAX,
    "foreign_replicas_max": 3,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two nodes with tight limits."""
    with Fleet(tmp_path_factory.mktemp("small"), nodes=2, valkey_each=True, limits=LIMITS) as fleet:
        yield fleet


def deltaic(fleet: Fleet, *arguments: str) -> subprocess.CompletedProcess[str]:
    file = fleet.directory / "fleet.toml"
    return subprocess.run(
        [DELTAIC, "-f", file, *arguments], env=plain_environment(), capture_output=True, text=True, timeout=30
    )


def refused(call: Callable[[], Any], code: grpc.StatusCode) -> str:
    """The words with which `call` was refused."""
    with pytest.raises(grpc.RpcError) as error:
        call()
    assert code_of(error.value) is code, error.value
    details: str = error.value.details()
    return details


def merged(fleet: Fleet, *parts: list[Any], clock: dict[str, int] | None = None) -> Callable[[], int]:
    patch = {"v": 1, "origin": "x1", "since": None, "clock": clock or {"x1": 1}, "stable": {}, "hlc": [0, 0]}
    return lambda: fleet["n1"].merge({**patch, "parts": list(parts)})


def state_of(fleet: Fleet) -> tuple[Any, ...]:
    return fleet["n1"].clock(), fleet["n1"].digest(), fleet.redis().hgetall(Keys("n1").state)


def test_a_caller_s_patch_is_held_to_the_limits_of_calls(small: Fleet) -> None:
    """Merge was a way around them: an element of any size could be brought in as a patch."""
    before = state_of(small)
    for part, setting in (
        (["k" * 21, "orset", "a", {"x1:1": True}], "limits.key_bytes_max"),
        (["k", "orset", "e" * 1001, {"x1:1": True}], "limits.value_bytes_max"),
        (["k", "mvregister", "", {"x1:1": "v" * 1001}], "limits.value_bytes_max"),
        (["k", "lwwregister", "", {"x1:1": ["v" * 1001, 1, 0]}], "limits.value_bytes_max"),
    ):
        assert f"(setting {setting})" in refused(merged(small, part), INVALID)
    assert state_of(small) == before


def test_callers_patches_bring_so_many_replica_ids_of_no_node(small: Fleet) -> None:
    """Each would lengthen every clock of the fleet for good."""
    foreign = {f"x{number}": 1 for number in range(2)}
    assert merged(small, clock=foreign)() == 0
    before = state_of(small)
    more = {f"y{number}": 1 for number in range(2)}
    words = refused(merged(small, clock=more), EXHAUSTED)
    assert "4 replica ids of no node, over the limit of 3 (setting limits.foreign_replicas_max)" in words
    assert state_of(small) == before
    assert merged(small, clock={**foreign, "y0": 1})() == 0
    assert merged(small, clock={**foreign, "y0": 2})() == 0, "who is known already may go on"


def test_asking_for_a_patch_costs_no_replica_ids(small: Fleet) -> None:
    """A caller who asked with five thousand invented ids once used up all the numbers, and stopped the worker."""
    invented = {f"z{number}": 1 for number in range(600)}
    for attempt in range(8):
        small["n1"].patch({f"{name}-{attempt}": 1 for name in invented})
    small["n1"].increment("goes on")
    assert small["n1"].counter("goes on") == 1


def test_a_message_over_the_limit_is_refused_either_way(small: Fleet) -> None:
    before = state_of(small)
    words = refused(lambda: small["n1"].set("long", "x" * (MESSAGE_BYTES_MAX + 1)), EXHAUSTED)
    assert f"{MESSAGE_BYTES_MAX}" in words
    assert state_of(small) == before
    command = deltaic(small, "set", "long", "x" * (MESSAGE_BYTES_MAX + 1), "--node", "n1")
    assert command.returncode == 2
    assert command.stderr.endswith("(setting limits.message_bytes_max)\n")
    for number in range(MESSAGE_BYTES_MAX // 1000 + 1):
        small["n1"].add("large", f"{number:03}" + "x" * 990)
    words = refused(lambda: small["n1"].elements("large"), EXHAUSTED)
    assert f"bytes, over the limit of {MESSAGE_BYTES_MAX} (setting limits.message_bytes_max)" in words
    assert small["n1"].delete("large")
    assert small["n1"].elements("large") == []


def test_calls_beyond_the_limit_are_refused_while_health_answers_and_those_under_way_end_well(small: Fleet) -> None:
    server = small.valkeys["n1"]
    small["n1"].counter("busy")
    os.kill(server.pid, signal.SIGSTOP)  # so that no call comes to an end
    try:
        with ThreadPoolExecutor(CALLS_MAX + 3) as pool:
            calls = [pool.submit(small["n1"].increment, "busy", timeout=30) for _ in range(CALLS_MAX + 3)]
            wait_until(lambda: sum(call.done() for call in calls) == 3, 20, "three calls to be refused")
            words = refused(lambda: small["n1"].increment("busy", timeout=5), EXHAUSTED)
            assert f"calls under way, over the limit of {CALLS_MAX} (setting limits.concurrent_calls_max)" in words
            assert small["n1"].is_serving()
            os.kill(server.pid, signal.SIGCONT)
            ends = [call.exception(30) for call in calls]
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert sorted(code_of(error).name for error in ends if error) == ["RESOURCE_EXHAUSTED"] * 3
    assert small["n1"].counter("busy") == CALLS_MAX, "those that were refused did nothing"
    wait_until(lambda: small["n1"].increment("free again"), 10, "room for new calls")


async def test_an_inbox_that_nobody_reads_keeps_its_latest_messages(server: ValkeyServer) -> None:
    fleet = {"n1": {"grpc": "h:1", "redis": server.url}, "n2": {"grpc": "h:2", "redis": server.url}}
    peers = Peers(checked({"nodes": fleet, "limits": {"inbox_entries_max": 50}}), "n1")
    async with AsyncExitStack() as cleanup:
        redis = await cleanup.enter_async_context(AsyncRedis(port=server.port))
        cleanup.push_async_callback(peers.close)
        outbox = Outbox(redis, peers)
        serving = asyncio.create_task(outbox.run(None))  # type: ignore[arg-type]  nothing fails
        cleanup.push_async_callback(end, [serving])
        for first in range(0, 1000, 50):  # fewer wait at once than would be given up
            for number in range(first, first + 50):
                outbox.release(Send("n2", Ask("n1", str(number), VersionVector())))
            mark = b'"%d"' % number

            async def last_has_arrived(mark: bytes = mark) -> bool:
                last = await redis.xrevrange(Keys("n2").inbox, count=1)
                return bool(last) and mark in last[0][1][b"m"]

            await wait_until_async(last_has_arrived, 30, "the last message of a batch")
        assert 50 <= await redis.xlen(Keys("n2").inbox) <= 50 + TRIMMED_BY


def test_a_log_that_a_dead_peer_does_not_read_is_bounded(tmp_path: Path) -> None:
    with Fleet(tmp_path, nodes=2, gossip={"log_entries_max": LOG_ENTRIES_MAX}) as fleet:
        fleet["n2"].kill()
        for _ in range(5 * LOG_ENTRIES_MAX):
            fleet["n1"].increment("hits")
        assert LOG_ENTRIES_MAX <= fleet.redis().xlen(Keys("n1").log) <= LOG_ENTRIES_MAX + TRIMMED_BY
        fleet["n2"].start().wait_until_serving()
        fleet.agree()
        assert fleet["n2"].counter("hits") == 5 * LOG_ENTRIES_MAX


def test_a_peer_s_log_is_read_in_batches(tmp_path: Path) -> None:
    with Fleet(tmp_path, nodes=2, valkey_each=True, gossip={"batch_deltas": 2}) as fleet:
        assert fleet["n2"].stop() == 0
        for _ in range(30):
            fleet["n1"].increment("hits")
        fleet.redis("n1").config_resetstat()
        fleet["n2"].start().wait_until_serving()
        fleet.agree()
        assert fleet.redis("n1").info("commandstats")["cmdstat_xread"]["calls"] >= 15  # nobody else reads there


def test_what_is_set_aside_is_kept_in_part_where_it_is_long(small: Fleet) -> None:
    """Ten thousand messages of many megabytes each would have been kept whole."""
    junk = b"\xff" * (3 * QUARANTINED_BYTES_MAX)
    entry = small.tell("n1", junk)

    def found() -> list[dict[str, str]]:
        return [item for item in small.quarantined("n1") if item["entry"] == entry]

    (item,) = wait_until(found, what="it to be set aside")
    assert f"the first {QUARANTINED_BYTES_MAX} of {len(junk)} bytes" in item["reason"]
    (content,) = [
        f[b"content"] for _, f in small.redis().xrange(Keys("n1").quarantine) if f[b"entry"] == entry.encode()
    ]
    assert len(content) == QUARANTINED_BYTES_MAX


@pytest.mark.parametrize(
    "setting",
    [
        "message_bytes_max = 0",
        "message_bytes_max = 9999999999",
        "concurrent_calls_max = 0",
        "concurrent_calls_max = 99999999999999999999999999",
        "inbox_entries_max = -1",
        "foreign_replicas_max = 5000",
    ],
)
def test_a_limit_that_cannot_be_held_is_a_bad_setting(tmp_path: Path, setting: str) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(f'[nodes.n1]\ngrpc = "127.0.0.1:1"\nredis = "redis://h"\n[limits]\n{setting}\n', "utf-8")
    done = subprocess.run([DELTAIC, "-f", file, "settings"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert f"limits.{setting.partition(' ')[0]}" in done.stderr

"""A node whose clock is hours wrong: its data counts, its time does not, and everybody can see whose clock it is."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import orjson
import pytest
from redis.asyncio import Redis

from crdt_core.lattice.clocks import HybridClock, Stamp
from crdt_core.lattice.deltas import Patch
from crdt_core.node.events import Call, PatchOffered, StampAhead
from crdt_core.node.node import Node
from crdt_core.node.offered_patches import A_CALLER
from crdt_core.replica.replica import Replica
from tests.fleet import Fleet
from tests.invocations import command
from tests.proxy import Proxy
from tests.support import DELTAIC, wait_until, wait_until_async
from workers.config.loading import checked
from workers.jobs import maintenance as jobs
from workers.replication.heartbeat import publish_heartbeat
from workers.replication.skew import Skew
from workers.rpc import deltaic_pb2 as pb
from workers.system.tasks import end
from workers.wire.keys import FLEET, Keys
from workers.wire.peers import Peers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.server import ValkeyServer

HOUR_MS = 3_600_000
AHEAD_MS = 5 * HOUR_MS + HOUR_MS // 2
LWW = pb.LAST_WRITER_WINS_REGISTER


class Clock:
    """The clock of n3: how far it is ahead."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set(0)

    def set(self, ahead_ms: int) -> None:
        swap = self.file.with_suffix(".new")
        swap.write_text(str(ahead_ms), "ascii")
        swap.replace(self.file)


@pytest.fixture(scope="module")
def skewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Clock]]:
    directory = tmp_path_factory.mktemp("skewed")
    clock = Clock(directory / "n3.offset")
    fleet = Fleet(directory, nodes=3, valkey_each=True)
    fleet["n3"].program = [sys.executable, "-m", "tests.skewed", clock.file]
    with fleet:
        yield fleet, clock


def status(fleet: Fleet, *options: str) -> str:
    file = fleet.directory / "fleet.toml"
    return subprocess.run(
        [DELTAIC, "-f", file, "status", *options], capture_output=True, text=True, timeout=30, env={"COLUMNS": "140"}
    ).stdout


def skew_of(fleet: Fleet, name: str) -> int | None:
    skew: int | None = json.loads(status(fleet, "--json"))["nodes"][name]["clock_skew_ms"]
    return skew


def hybrid_ms(fleet: Fleet, name: str) -> int:
    """How far the hybrid time in a node's header is ahead of time."""
    ms, _ = orjson.loads(fleet.redis(name).hget(Keys(name).header, "hlc"))
    return int(ms) - time.time_ns() // 1_000_000


def write(fleet: Fleet, name: str, key: str, value: str) -> None:
    """A last-writer-wins write that its node stamps."""
    fleet[name].objects.SetRegister(pb.SetRegisterRequest(register_id=key, value=value, kind=LWW), timeout=10)


def test_a_peer_hours_ahead_is_refused_counted_logged_and_shown_and_drags_nobody_along(
    skewed: tuple[Fleet, Clock],
) -> None:
    fleet, clock = skewed
    clock.set(AHEAD_MS)
    for _ in range(20):
        fleet["n3"].increment("ahead")
    write(fleet, "n3", "ahead register", "from the future")
    fleet.agree()
    assert fleet.everywhere("counter", "ahead") == [20] * 3
    for name in ("n1", "n2"):
        fleet[name].increment("ahead")  # so that what its clock is now is persisted
        assert fleet[name].metrics()["stamps_refused"] >= 21
        assert fleet[name].times_logged("stamp_refused") == 1, "not a line per stamp"
        assert "event=stamp_refused source=n3 " in fleet[name].last_words() + " "
        assert abs(hybrid_ms(fleet, name)) < 60_000
        wait_until(lambda name=name: fleet[name].metrics()["clock_ahead_ms_n3"] > AHEAD_MS - 60_000, 15, "the skew")
        assert fleet[name].times_logged("clock_skewed") == 1
    wait_until(lambda: abs((skew_of(fleet, "n3") or 0) - AHEAD_MS) < 60_000, 15, "status to see the skew")
    shown = status(fleet)
    assert "the clock of n3 is 5h ahead of the others: the others do not follow its stamps" in " ".join(shown.split())
    assert "clock of n1" not in shown
    assert "clock of n2" not in shown


def test_what_has_seen_a_write_from_the_future_wins_over_it(skewed: tuple[Fleet, Clock]) -> None:
    fleet, clock = skewed
    clock.set(AHEAD_MS)
    write(fleet, "n3", "seen", "from the future")
    fleet.agree()
    write(fleet, "n1", "seen", "later")
    fleet.agree()
    assert fleet.everywhere("register", "seen") == [["later"]] * 3
    fleet["n1"].increment("seen counter")
    assert abs(hybrid_ms(fleet, "n1")) < 60_000


def test_a_node_that_was_ahead_recovers_once_its_clock_is_set_right(skewed: tuple[Fleet, Clock]) -> None:
    fleet, clock = skewed
    clock.set(AHEAD_MS)
    fleet["n3"].increment("recovering")
    assert hybrid_ms(fleet, "n3") > AHEAD_MS - 60_000
    clock.set(0)
    fleet["n3"].increment("recovering")
    assert abs(hybrid_ms(fleet, "n3")) < 60_000
    fleet.agree()
    refused = fleet["n1"].metrics()["stamps_refused"]
    fleet["n3"].increment("recovering")
    fleet.agree()
    assert fleet["n1"].metrics()["stamps_refused"] == refused
    wait_until(lambda: not fleet["n1"].metrics()["clock_ahead_ms_n3"], 15, "the skew to be gone")
    assert "clock of" not in status(fleet)


def test_a_node_that_was_ahead_recovers_by_a_restart_too(skewed: tuple[Fleet, Clock]) -> None:
    fleet, clock = skewed
    clock.set(AHEAD_MS)
    fleet["n3"].increment("restarted")
    assert fleet["n3"].stop() == 0
    clock.set(0)
    fleet["n3"].start().wait_until_serving()
    fleet["n3"].increment("restarted")
    assert abs(hybrid_ms(fleet, "n3")) < 60_000
    assert fleet["n3"].counter("restarted") == 2


def test_a_peer_hours_behind_is_shown_and_still_lives(
    skewed: tuple[Fleet, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the wall clock alone its heartbeats would look hours old, and no gossip round would ever ask it."""
    fleet, clock = skewed
    clock.set(-AHEAD_MS)
    fleet["n3"].increment("behind")
    fleet.agree()
    wait_until(lambda: fleet["n1"].metrics()["clock_behind_ms_n3"] > AHEAD_MS - 60_000, 15, "the skew")
    wait_until(lambda: abs((skew_of(fleet, "n3") or 0) + AHEAD_MS) < 60_000, 15, "status to see the skew")
    assert "the clock of n3 is 5h behind the others: it follows nobody's stamps" in " ".join(status(fleet).split())
    seen = json.loads(status(fleet, "--json"))
    assert seen["nodes"]["n3"]["up"]
    assert seen["nodes"]["n3"]["beat_age_ms"] < 3000
    monkeypatch.setenv("DELTAIC_FILE", str(fleet.directory / "fleet.toml"))
    assert sorted(jobs.gossip_round("n1")["peers_contacted"]) == ["n2", "n3"]
    write(fleet, "n1", "past", "first")
    fleet.agree()
    write(fleet, "n3", "past", "it has seen the first")
    fleet.agree()
    assert fleet.everywhere("register", "past") == [["it has seen the first"]] * 3
    clock.set(0)
    wait_until(lambda: not fleet["n1"].metrics()["clock_behind_ms_n3"], 15, "the skew to be gone")


# The parts.


def test_jobs_do_not_take_a_dead_node_for_alive_because_its_last_heartbeat_is_of_the_future(
    skewed: tuple[Fleet, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, clock = skewed
    clock.set(AHEAD_MS)
    beat_ms = time.time_ns() // 1_000_000 + HOUR_MS

    def beats_ahead() -> bool:
        return bool(orjson.loads(fleet.redis("n3").hget(FLEET, "n3"))["beat_ms"] > beat_ms)

    wait_until(beats_ahead, what="a heartbeat of the future")
    fleet["n3"].kill()
    clock.set(0)
    monkeypatch.setenv("DELTAIC_FILE", str(fleet.directory / "fleet.toml"))
    wait_until(lambda: jobs.gossip_round("n1")["peers_contacted"] == ["n2"], 15, "jobs to notice the death")
    fleet["n3"].start().wait_until_serving()


def node_at(hlc: Stamp) -> Node:
    return Node("n1", Replica("n1", founders=["n1", "n2"]), "s", hlc=HybridClock(hlc))


def test_a_stamp_ahead_leaves_the_turn_as_a_fact() -> None:
    node = node_at(Stamp(0, 0))
    far, near = (PatchOffered(offered(Stamp(ms, 0)), "token") for ms in (AHEAD_MS, 2000))
    turn = node.turn([far], wall_ms=1000, monotonic_ms=1000)
    assert [effect for effect in turn.effects if isinstance(effect, StampAhead)] == [
        StampAhead(A_CALLER, AHEAD_MS - 1000, refused=True)
    ]
    assert node.hlc.last == Stamp(0, 0)
    turn = node.turn([near], wall_ms=1000, monotonic_ms=1000)
    assert StampAhead(A_CALLER, 1000, refused=False) in turn.effects
    assert node.hlc.last == Stamp(2000, 0)


def test_a_turn_sets_the_hybrid_clock_right_and_says_so() -> None:
    node = node_at(Stamp(AHEAD_MS, 5))
    turn = node.turn([Call(command("DELTAIC.COUNTER.ADD", b"k", 1), "token")], wall_ms=1000, monotonic_ms=1000)
    assert StampAhead("n1", AHEAD_MS - 1000, refused=True) in turn.effects
    assert (node.hlc.last.ms, node.counts["clock_set_right"]) == (1000, 1)
    assert not [e for e in node.turn([], wall_ms=1001, monotonic_ms=1001).effects if isinstance(e, StampAhead)]


async def test_the_skew_of_a_peer_whose_redis_cannot_be_reached_any_more_is_forgotten(server: ValkeyServer) -> None:
    """It once stayed in the metrics for as long as the peer was away."""
    server.client().flushdb()
    redis = Redis.from_url(server.url)
    with Proxy(server.port) as proxy:
        nodes = {"n1": {"grpc": "h:1", "redis": server.url}, "n2": {"grpc": "h:2", "redis": proxy.url}}
        peers = Peers(checked({"nodes": nodes}), "n1")
        skew = Skew(node_at(Stamp(0, 0)), peers, HOUR_MS)
        await publish_heartbeat(redis, "n2", "h:2")
        measuring = asyncio.create_task(skew.run())
        await wait_until_async(lambda: "n2" in skew.by_peer, what="the skew to be measured")
    await wait_until_async(lambda: "n2" not in skew.by_peer, what="the skew to be forgotten")
    await end([measuring])
    await peers.close()
    await redis.aclose()


def test_what_was_logged_of_peers_that_have_left_is_forgotten_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry stayed for each name that had ever been a member."""
    now_ms = 0
    monkeypatch.setattr("workers.replication.skew.wall_ms", lambda: now_ms)
    skew = Skew(node_at(Stamp(0, 0)), Peers(checked({"nodes": {"n1": {"grpc": "h:1", "redis": "redis://h"}}}), "n1"), 1)
    for number in range(10):
        skew.log_stamp(StampAhead(f"n{number}", AHEAD_MS, refused=True))
        assert ("stamp_refused", f"n{number}") in skew.logged_ms
        now_ms += 20_000
    assert len(skew.logged_ms) == 3


def offered(hlc: Stamp) -> Patch:
    clock = Replica("n9").clock
    return Patch("n9", None, clock, clock, hlc, ())

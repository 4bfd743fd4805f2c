"""`deltaic status` as people and scripts run it: as a process, against real workers."""

from __future__ import annotations

import json
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.command import Command
from tests.workers.fleet_files import fleet_file
from workers.wire.keys import FLEET

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_fleet_that_agrees(fleet, deltaic, key):
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


def test_what_a_node_has_missed_is_counted_and_dated(fleet, deltaic, key):
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


def test_a_lag_whose_deltas_were_trimmed_has_no_age(fleet, deltaic, key):
    fleet.set_link("n4", "n3", "paused")
    fleet.set_link("n4", "n5", "paused")
    fleet["n3"].increment(key)
    fleet.redis().xtrim(fleet["n3"].keys.log, maxlen=0, approximate=False)
    assert deltaic.json("status")["nodes"]["n4"]["lag"]["n3"] == {"deltas": 1, "ms": None}


def test_different_states_at_equal_clocks_are_an_alarm(on_small, small, key):
    small["n1"].increment(key)
    small.agree()
    header = small["n2"].keys.header
    digest = small.redis("n2").hget(header, "digest")
    small.redis("n2").hset(header, "digest", "0123456789abcdef")
    try:
        result = on_small.run("status")
    finally:
        small.redis("n2").hset(header, "digest", digest)
    assert result.returncode == 6
    headline, *_ = result.stdout.splitlines()
    assert headline.endswith("DIGEST MISMATCH: n1 n3 / n2 have seen the same and hold different states")


def test_servers_that_accept_and_say_nothing_do_not_hold_it_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        redis, hosts = f"redis://127.0.0.1:{port}/0", {"n1": "127.0.0.1", "n2": "localhost"}
        nodes = {n: {"grpc": f"{host}:{port}", "redis": redis} for n, host in hosts.items()}
        result = Command(fleet_file(tmp_path, **nodes)).run("status")
    assert result.returncode == 3
    assert "0 of 2 nodes up" in result.stdout
    assert "Redis of n1 n2: no answer within 1.5 s" in result.stdout


def test_watch_goes_on_until_interrupted(deltaic):
    with deltaic.start("status", "--watch", "--json") as process:
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""
    assert second["at_ms"] > first["at_ms"]


@pytest.fixture
def n1_is_dead(small) -> Iterator[None]:
    """And its heartbeat is old."""
    small.agree()
    small["n1"].kill()
    small.redis("n1").hset(FLEET, "n1", b'{"beat_ms":1763700000000}')
    yield
    small["n1"].start().wait_until_serving()


def test_a_dead_worker_is_shown_as_down_and_its_data_all_the_same(on_small, n1_is_dead):
    result, as_json = on_small.run_all(["status"], ["status", "--json"])
    assert result.returncode == as_json.returncode == 3
    assert result.stdout.startswith("2 of 3 nodes up; all agree")
    n1 = json.loads(as_json.stdout)["nodes"]["n1"]
    assert n1["up"] is False
    assert n1["serving"] is False
    assert n1["clock"] is not None
    assert n1["log"] is not None
    assert n1["markers"] is None


@pytest.fixture
def redis_of_n2_is_dead(small) -> Iterator[None]:
    small.valkeys["n2"].kill()
    yield
    small.valkeys["n2"].start()


def test_a_redis_that_is_away_is_named(on_small, redis_of_n2_is_dead):
    result, as_json = on_small.run_all(["status"], ["status", "--json"])
    assert result.returncode == as_json.returncode == 3
    assert "no Redis of n2; the other 2 agree" in result.stdout
    nodes = json.loads(as_json.stdout)["nodes"]
    assert nodes["n2"]["problem"] == "connection refused"
    assert nodes["n2"]["clock"] is None
    assert nodes["n1"]["lag"]["n2"] == {"deltas": None, "ms": None}

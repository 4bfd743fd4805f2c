"""Nothing that a client of Redis was told is lost or counts twice, whatever ends in the middle; and what is said holds.

The counterpart of `tests/scenarios/test_crash.py` at the Redis face.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis import Redis

from crdt_core.errors import Fenced
from tests.fleet import Fleet
from tests.support import wait_until
from tests.workers.resp.load import RespLoad
from tests.workers.resp.raw import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two nodes, each with a Valkey of its own that syncs before it answers."""
    limits = {"write_timeout_ms": 1000, "commit_timeout_ms": 500}
    with Fleet(
        tmp_path_factory.mktemp("crash"), nodes=2, appendfsync="always", valkey_each=True, limits=limits
    ) as fleet:
        yield fleet


@pytest.fixture
def fleet(two: Fleet) -> Fleet:
    """Both are up before each test."""
    for node in two.nodes.values():
        if not node.running:
            node.start()
    for node in two.nodes.values():
        node.wait_until_serving()
    return two


def check_everywhere(fleet: Fleet, load: RespLoad) -> None:
    """Both nodes show what the load was told."""
    fleet.agree()
    for node in fleet.nodes.values():
        with Redis(port=node.resp_port) as client:
            load.check(client)


def test_a_worker_is_killed_under_load_again_and_again(fleet: Fleet, key: str) -> None:
    with RespLoad(fleet["n1"].resp_port, key) as load:
        for _ in range(3):
            load.wait_for_acknowledgements()
            fleet["n1"].kill()
            fleet["n1"].start()
        load.wait_for_acknowledgements()
    assert load.unknown
    check_everywhere(fleet, load)


def test_a_worker_is_told_to_stop_under_load_and_answers_what_it_has_taken(fleet: Fleet, key: str) -> None:
    with RespLoad(fleet["n1"].resp_port, key) as load:
        for _ in range(3):
            load.wait_for_acknowledgements()
            assert fleet["n1"].stop() == 0
            fleet["n1"].start()
        load.wait_for_acknowledgements()
    check_everywhere(fleet, load)


def test_a_worker_is_taken_over_under_load(fleet: Fleet, key: str) -> None:
    former, successor = fleet["n1"], fleet.twin("n1")
    with RespLoad(former.resp_port, key) as load:
        load.wait_for_acknowledgements()
        successor.start("--takeover")
        assert former.exit_code() == Fenced.exit_code
        load.wait_for_acknowledgements()
    check_everywhere(fleet, load)
    assert successor.stop() == 0


def test_redis_is_killed_under_load_and_refusals_have_changed_nothing(fleet: Fleet, key: str) -> None:
    with RespLoad(fleet["n1"].resp_port, key) as load:
        for _ in range(2):
            load.wait_for_acknowledgements()
            fleet.valkeys["n1"].kill()
            refused = len(load.refused)
            wait_until(lambda refused=refused: len(load.refused) > refused, 30, "refusals that say to try again")
            fleet.valkeys["n1"].start()
        load.wait_for_acknowledgements()
    assert fleet["n1"].running
    check_everywhere(fleet, load)


def test_redis_freezes_under_load_and_refusals_have_changed_nothing(fleet: Fleet, key: str) -> None:
    with RespLoad(fleet["n1"].resp_port, key) as load:
        load.wait_for_acknowledgements()
        fleet.valkeys["n1"].suspend()
        wait_until(lambda: len(load.refused) > 10, 30, "refusals that say to try again")
        fleet.valkeys["n1"].resume()
        load.wait_for_acknowledgements()
    assert load.unknown
    check_everywhere(fleet, load)


@pytest.mark.parametrize(("directive", "word"), [("maxmemory", "OOM"), ("min-replicas-to-write", "TRYAGAIN")])
def test_a_redis_that_refuses_writes_is_named_by_its_own_word(
    fleet: Fleet, key: str, directive: str, word: str
) -> None:
    redis = fleet.redis("n1")
    with Raw(fleet["n1"].resp_port) as raw, Raw(fleet["n1"].resp_port) as reader:
        assert raw.call(b"SET", key.encode(), b"before") == b"OK"
        redis.config_set(directive, 1)
        try:
            wait_until(lambda: str(raw.call(b"SET", key.encode(), b"lost")).startswith(word), 20, word)
            assert reader.call(b"GET", key.encode()) == b"before"
        finally:
            redis.config_set(directive, 0)
        wait_until(lambda: raw.call(b"SET", key.encode(), b"after") == b"OK", 20, "writes to succeed again")
        assert raw.call(b"GET", key.encode()) == b"after"

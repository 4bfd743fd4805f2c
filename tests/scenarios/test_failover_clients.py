"""Client libraries with failover of their own leave a node whose Redis has a trouble, and come back."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.fleet import Fleet
from tests.support import give_up, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INTERVAL_S = 1


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path, nodes=2, valkey_each=True) as made:
        yield made


@pytest.mark.filterwarnings("ignore:.*experimental")
def test_multi_db_client_leaves_a_node_whose_redis_is_frozen_and_comes_back(fleet: Fleet) -> None:
    """Its default health check is a PING, which such a node once answered with PONG."""
    if importlib.util.find_spec("pybreaker") is None:
        give_up("pybreaker, which redis-py needs for its MultiDBClient, is not installed")
    from redis.multidb.client import MultiDBClient
    from redis.multidb.config import DatabaseConfig, MultiDbConfig

    ports = [fleet[name].resp_port for name in ("n1", "n2")]
    client = MultiDBClient(
        MultiDbConfig(
            databases_config=[
                DatabaseConfig(weight=weight, client_kwargs={"port": port, "socket_timeout": 2})
                for weight, port in zip((1.0, 0.5), ports, strict=True)
            ],
            command_retry=Retry(NoBackoff(), retries=0),
            health_check_interval=INTERVAL_S,
            auto_fallback_interval=INTERVAL_S,
        )
    )
    runs = (fleet.redis(name).info("server")["run_id"] for name in ("n1", "n2"))
    assert len(set(runs)) == 2

    def node() -> str:
        """Where a write succeeds, if it does."""
        try:
            client.set("k", "v")
            return client.info("deltaic")["node"]
        except RedisError:
            return ""

    try:
        assert node() == "n1"
        fleet.valkeys["n1"].suspend()
        wait_until(lambda: node() == "n2", 15, "writes to go on at n2")
        fleet.valkeys["n1"].resume()
        wait_until(lambda: node() == "n1", 15, "writes to come back to n1")
    finally:
        client.close()

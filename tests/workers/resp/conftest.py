"""Clients of the shared fleet's Redis faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis import Redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fleet import Fleet


@pytest.fixture
def client(fleet: Fleet) -> Iterator[Callable[..., Redis]]:
    """`client("n2")` is redis-py on node n2 of the shared fleet."""
    opened: list[Redis] = []

    def connect(name: str = "n1", protocol: int = 2) -> Redis:
        opened.append(Redis(port=fleet[name].resp_port, protocol=protocol))
        return opened[-1]

    yield connect
    for redis in opened:
        redis.close()

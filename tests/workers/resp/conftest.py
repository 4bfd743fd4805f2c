"""Clients of the shared fleet's Redis faces, three nodes for scenarios of conflicts, and a face without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis import Redis

from tests.fleet import Fleet
from tests.workers.resp.conflicts import POLICIES, Sides
from tests.workers.resp.inprocess import InProcess, Peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


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


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three nodes with policies."""
    with Fleet(tmp_path_factory.mktemp("rules"), nodes=3, settings=POLICIES) as fleet:
        fleet.hear()
        yield fleet


@pytest.fixture
def sides(three: Fleet) -> Iterator[Sides]:
    """The three nodes, as sides of a conflict."""
    nodes = Sides(three)
    yield nodes
    for node in nodes.nodes:
        node.close()


@pytest.fixture
async def face() -> AsyncIterator[InProcess]:
    """A face without a password."""
    async with InProcess() as made:
        yield made


@pytest.fixture
async def peer(face: InProcess) -> Peer:
    """A client of it."""
    return face.connect()

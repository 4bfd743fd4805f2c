"""The sequences of `tests/crdt_core/commands/test_differential.py`, through the ports of a lone worker and of a real
server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.commands import ErrorReply
from tests.crdt_core.commands.test_differential import LENGTH, Chance, Real, compare, compare_states, repr_bytes
from tests.crdt_core.commands.test_odd_numbers import SPELLINGS
from tests.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server import ValkeyServer

SEEDS = range(5000, 5012)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    with Fleet(tmp_path_factory.mktemp("lone"), nodes=1, appendfsync="no") as fleet:
        connection = Real(fleet["n1"].resp_port)
        yield connection
        connection.close()


@pytest.fixture(scope="module")
def real(server: ValkeyServer) -> Iterator[Real]:
    connection = Real(server.port)
    yield connection
    connection.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lone_worker_answers_as_a_real_server_does(seed: int, worker: Real, real: Real) -> None:
    for side in (worker, real):
        side.do([b"FLUSHDB"])
    chance = Chance(seed)
    for number in range(LENGTH):
        words = chance.command()
        try:
            compare(words, worker, real)
        except AssertionError as error:
            shown = b" ".join(map(repr_bytes, words)).decode()
            pytest.fail(f"seed {seed}, command {number}: {shown}: {error}", pytrace=False)
    compare_states(worker, real)


PLACES = (
    *("SELECT ?", "HELLO ?", "CLIENT KILL MAXAGE ?", "WAIT ? 1", "WAIT 0 ?"),
    *("INCRBY n ?", "SETRANGE k ? v", "COPY k c DB ?"),
)
"""CLIENT LIST ID and CLIENT KILL ID refuse in the words of Redis, which are not those of Valkey."""


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_lone_worker_reads_odd_numbers_as_a_real_server_does(spelling: bytes, worker: Real, real: Real) -> None:
    for side in (worker, real):
        side.do([b"FLUSHDB"])
    different = []
    for place in PLACES:
        words = [spelling if word == "?" else word.encode() for word in place.split()]
        mine, theirs = worker.do(words), real.do(words)
        if (isinstance(mine, ErrorReply) or isinstance(theirs, ErrorReply)) and mine != theirs:
            different.append((place, mine, theirs))
    assert not different

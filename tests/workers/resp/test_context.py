"""What commands see of a client, and what all clients share."""

from __future__ import annotations

import pytest

from tests.workers.resp.inprocess import InProcess
from workers.resp.context import ServerFacts
from workers.resp.transaction import Transaction, Watch


async def test_a_client_that_listens_may_do_nothing_else_in_resp2() -> None:
    async with InProcess() as face:
        client = face.connect().connection
        assert (client.subscriptions, client.may_only_listen) == (0, False)
        client.channels.add(b"news")
        client.patterns.add(b"n*")
        assert (client.subscriptions, client.may_only_listen) == (2, True)
        client.resp3 = True
        assert not client.may_only_listen


async def test_the_end_of_a_transaction_gives_back_what_was_watched() -> None:
    async with InProcess() as face:
        client = face.connect().connection
        client.transaction, client.watch = Transaction(10, 10), (watch := Watch())
        assert client.end_transaction() is watch
        assert (client.transaction, client.watch, client.end_transaction()) == (None, None, None)


@pytest.mark.parametrize(("password", "trusted"), [(None, True), ("secret", False)])
async def test_a_client_is_a_stranger_where_there_is_a_password(password: str | None, trusted: bool) -> None:
    async with InProcess(password=password) as face:
        assert face.connect().connection.trusted is trusted


async def test_every_seed_is_another_one() -> None:
    async with InProcess() as face:
        services = face.connect().connection.services
        seeds = [services.next_seed() for _ in range(100)]
        assert len({seed % 2**64 for seed in seeds}) == 100


async def test_counts_begin_anew_and_those_of_the_node_go_on() -> None:
    async with InProcess() as face:
        services = face.connect().connection.services
        face.node.replica.expired_keys = 7
        services.statistics.commands = 3
        services.reset_statistics()
        counts = services.statistics
        assert (counts.commands, counts.connections_received, counts.expired_before) == (0, 0, 7)
        assert services.node.expired_keys == 7


def test_every_server_has_an_id_of_its_own() -> None:
    one, other = (ServerFacts(10, tls=False) for _ in range(2))
    assert len(one.run_id) == 40
    assert one.run_id != other.run_id

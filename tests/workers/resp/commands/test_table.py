"""Every row of a command that needs the connection, against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.commands import COMMANDS
from workers.resp.commands.table import TABLE

if TYPE_CHECKING:
    from tests.server import ValkeyServer

ROWS = {
    name: row
    for name, row in {**TABLE.commands, **TABLE.members}.items()
    if name not in COMMANDS and not name.startswith(b"DELTAIC.")
}


@pytest.fixture(scope="module")
def described(server: ValkeyServer) -> dict[bytes, Any]:
    """What COMMAND INFO of a real server says, by name, subcommands included."""
    with server.client() as client:
        client.set_response_callback("COMMAND", lambda response, **_: response)
        infos = client.execute_command("COMMAND")
        return {info[0].upper(): info for found in infos for info in (found, *found[9])}


@pytest.mark.parametrize("name", sorted(ROWS), ids=bytes.decode)
def test_rows_say_what_a_real_server_says(name: bytes, described: dict[bytes, Any]) -> None:
    row = ROWS[name]
    _, arity, flags, *keys, categories = described[name][:7]
    assert (row.arity, row.keys) == (arity, tuple(keys))
    assert set(row.flags.split()) == {flag.decode() for flag in flags}
    assert row.acl_categories == sorted(category.decode() for category in categories)


def test_strangers_may_send_what_a_real_server_lets_them_send() -> None:
    assert {row.name for row in ROWS.values() if row.for_strangers} == {b"AUTH", b"HELLO", b"QUIT", b"RESET"}


def test_what_a_client_of_resp2_may_send_while_it_listens() -> None:
    names = {row.name for row in TABLE.commands.values() if row.while_subscribed}
    assert names == set(b"SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE PING QUIT RESET".split())


def test_plain_commands_are_always_queued_and_those_that_wait_never_are() -> None:
    assert all(command.in_multi == "queued" and not command.connected for command in COMMANDS.values())
    waiting = [row for row in TABLE.commands.values() if "blocking" in row.flags.split()]
    assert {row.in_multi for row in waiting} == {"refused"}

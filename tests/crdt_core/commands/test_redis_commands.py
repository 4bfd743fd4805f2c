"""The names of Redis's commands are those that a real server lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.redis_commands import REDIS_COMMANDS

if TYPE_CHECKING:
    from tests.server import ValkeyServer


def test_all_names_of_a_real_server_are_known(server: ValkeyServer) -> None:
    with server.client() as client:
        listed = {name.upper() for name in client.execute_command("COMMAND LIST")}
    assert listed == REDIS_COMMANDS

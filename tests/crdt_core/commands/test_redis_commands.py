"""The names of Redis's commands are those that a real server lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.redis_commands import REDIS_COMMANDS
from tests.server import ValkeyServer

if TYPE_CHECKING:
    from pathlib import Path


def test_all_names_of_a_real_server_are_known(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path, appendfsync="no").start()
    try:
        with server.client() as client:
            listed = {name.upper() for name in client.execute_command("COMMAND LIST")}
    finally:
        server.stop()
    assert listed == REDIS_COMMANDS

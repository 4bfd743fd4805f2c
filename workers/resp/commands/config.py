"""CONFIG: the settings that client libraries ask for. They stand in the fleet file and cannot be changed here.

Except for `notify-keyspace-events`, which clients set when they begin to listen: it holds until the worker ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.commands import OK, ErrorReply, Map
from crdt_core.commands.patterns import matches
from workers.resp.commands.rows import client_command, family
from workers.resp.notifications import Flags

if TYPE_CHECKING:
    from workers.resp.context import Client, Services

__all__ = ["COMMANDS"]

_NOTIFICATIONS = b"notify-keyspace-events"


def _config_get(client: Client, args: list[bytes]) -> Map:
    patterns = [pattern.lower() for pattern in args]
    parameters = _parameters(client.services).items()
    return Map([pair for pair in parameters if any(matches(pattern, pair[0]) for pattern in patterns)])


def _config_set(client: Client, args: list[bytes]) -> Any:
    """Accept a setting that is so already, and other notifications. All other settings stand in the fleet file."""
    flags = client.services.announcer.flags
    parameters = _parameters(client.services)
    pairs = list(zip(args[::2], args[1::2], strict=False))
    for name, value in pairs:
        shown = name[:128].decode("utf-8", "backslashreplace")
        if len(args) % 2 or name.lower() not in parameters:
            return ErrorReply(f"ERR Unknown option or number of arguments for CONFIG SET - '{shown}'")
        if name.lower() == _NOTIFICATIONS:
            try:
                flags = Flags(value)
            except ValueError as error:
                return ErrorReply(f"ERR CONFIG SET failed (possibly related to argument '{shown}') - {error}")
        elif value != parameters[name.lower()]:
            return ErrorReply(
                f"ERR CONFIG SET failed (possibly related to argument '{shown}') - settings stand in the fleet file"
            )
    client.services.announcer.flags = flags
    return OK


def _config_rewrite(_client: Client, _args: list[bytes]) -> ErrorReply:
    return ErrorReply("ERR The server is running without a config file")


def _config_resetstat(client: Client, _args: list[bytes]) -> Any:
    client.services.reset_statistics()
    return OK


def _parameters(services: Services) -> dict[bytes, bytes]:
    return {
        b"appendonly": b"no",
        b"bind": services.server.host.encode(),
        b"databases": b"1",
        b"maxclients": b"%d" % services.server.connections_max,
        b"maxmemory": b"0",
        b"maxmemory-policy": b"noeviction",
        _NOTIFICATIONS: str(services.announcer.flags).encode(),
        b"port": b"%d" % services.server.port,
        b"proto-max-bulk-len": b"%d" % services.limits.message_bytes_max,
        b"save": b"",
        b"timeout": b"0",
    }


_FLAGS = "admin noscript loading stale"

COMMANDS = (
    family(
        "server",
        "CONFIG",
        "Shows the settings that clients ask for.",
        (
            client_command(
                "server",
                "CONFIG|GET pattern [pattern ...]",
                -3,
                _FLAGS,
                _config_get,
                "Returns the settings whose names match.",
                complexity="O(N) in the patterns",
            ),
            client_command(
                "server", "CONFIG|RESETSTAT", 2, _FLAGS, _config_resetstat, "Resets the statistics of INFO."
            ),
            client_command(
                "server", "CONFIG|REWRITE", 2, _FLAGS, _config_rewrite, "Is refused: settings stand in the fleet file."
            ),
            client_command(
                "server",
                "CONFIG|SET name value [name value ...]",
                -4,
                _FLAGS,
                _config_set,
                "Sets notify-keyspace-events; accepts of others what is set already: they stand in the fleet file.",
                complexity="O(N) in the settings",
            ),
        ),
        in_multi="queued",
    ),
)

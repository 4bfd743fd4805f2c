"""COMMAND: what the rows of the table say, to tools and client libraries."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crdt_core.commands import Command, ErrorReply, Map, SetOf, Status
from crdt_core.commands.arguments import SYNTAX
from crdt_core.commands.patterns import matches
from workers.resp.commands.rows import client_command, family
from workers.resp.documentation import documentation

if TYPE_CHECKING:
    from workers.resp.context import Client

__all__ = ["COMMANDS"]


def _all(client: Client, _args: list[bytes]) -> list[Any]:
    return [_description(command) for command in client.services.table.commands.values()]


def _count(client: Client, _args: list[bytes]) -> int:
    return len(client.services.table.commands)


def _info(client: Client, args: list[bytes]) -> list[Any]:
    if not args:
        return _all(client, args)
    found = [client.services.table.named(name) for name in args]
    return [_description(command) if command is not None else None for command in found]


def _list(client: Client, args: list[bytes]) -> Any:
    table = client.services.table
    rows = {**table.commands, **table.members}
    match [arg.upper() for arg in args]:
        case []:
            chosen = list(rows)
        case [b"FILTERBY", b"PATTERN", _]:
            chosen = [name for name in rows if matches(args[2].lower(), name.lower())]
        case [b"FILTERBY", b"ACLCAT", _]:
            category = "@" + args[2].decode("utf-8", "replace").lower()
            chosen = [name for name, command in rows.items() if category in command.acl_categories]
        case [b"FILTERBY", b"MODULE", _]:
            chosen = []
        case _:
            return ErrorReply(SYNTAX)
    return [name.lower() for name in chosen]


def _docs(client: Client, args: list[bytes]) -> Map:
    table = client.services.table
    found = [table.named(name) for name in args] if args else table.commands.values()
    return Map([(command.name.lower(), documentation(command)) for command in found if command is not None])


def _getkeys(client: Client, args: list[bytes]) -> Any:
    command = client.services.table.named(args[0])
    if command is None:
        return ErrorReply("ERR Invalid command specified")
    if not command.keys[0]:
        return ErrorReply("ERR The command has no key arguments")
    return [args[place] for place in command.keys_among(args)]


def _description(command: Command[Any]) -> list[Any]:
    """Return what COMMAND INFO says of a command."""
    flags: list[Any] = [Status(flag) for flag in command.flags.split()]
    categories: list[Any] = [Status(category) for category in command.acl_categories]
    members = [_description(member) for member in command.members]
    return [command.name.lower(), command.arity, SetOf(flags), *command.keys, SetOf(categories), [], [], members]


_FLAGS = "loading stale"

_COMMAND = family(
    "server",
    "COMMAND",
    "Says which commands there are.",
    (
        client_command("server", "COMMAND|COUNT", 2, _FLAGS, _count, "Returns the number of commands."),
        client_command(
            "server",
            "COMMAND|DOCS [command [command ...]]",
            -2,
            _FLAGS,
            _docs,
            "Returns what the commands are for, and their arguments.",
            complexity="O(N) in the commands",
        ),
        client_command(
            "server",
            "COMMAND|GETKEYS command [arg [arg ...]]",
            -3,
            _FLAGS,
            _getkeys,
            "Returns the keys among the words of a request.",
            complexity="O(N) in the words",
        ),
        client_command(
            "server",
            "COMMAND|INFO [command [command ...]]",
            -2,
            _FLAGS,
            _info,
            "Returns the arity, the flags and the places of keys.",
            complexity="O(N) in the commands",
        ),
        client_command(
            "server",
            "COMMAND|LIST [FILTERBY MODULE module-name | ACLCAT category | PATTERN pattern]",
            -2,
            _FLAGS,
            _list,
            "Returns the names of the commands.",
            complexity="O(N) in the commands",
        ),
    ),
    categories="connection",
    in_multi="queued",
)

COMMANDS = (
    replace(
        _COMMAND,
        usage="COMMAND [subcommand [argument ...]]",
        arity=-1,
        flags="loading stale",
        categories="connection",
        run=_all,
        complexity="O(N) in the commands",
    ),
)

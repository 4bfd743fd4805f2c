"""The table of commands: which there are, and the one way from a request to its row.

A family of commands is one module with its rows in `COMMANDS`, named once in `_FAMILIES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.commands import (
    bitfields,
    bits,
    counters,
    counting,
    expiry,
    explain,
    flags,
    hashes,
    hyperloglogs,
    inspection,
    keys,
    multivalue,
    registers,
    remove_wins,
    set_algebra,
    sets,
    strings,
    typed_sets,
    whole_hashes,
)
from crdt_core.commands.arguments import shown_in_c, wrong_number
from crdt_core.commands.redis_commands import REDIS_COMMANDS
from crdt_core.commands.replies import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.commands.command import Command
    from crdt_core.commands.session import Session

__all__ = ["COMMANDS", "CommandTable"]

_FAMILIES = (
    strings,
    bits,
    bitfields,
    counting,
    counters,
    registers,
    typed_sets,
    multivalue,
    sets,
    set_algebra,
    remove_wins,
    hashes,
    whole_hashes,
    hyperloglogs,
    flags,
    keys,
    expiry,
    explain,
    inspection,
)

_SHOWN_MAX = 128


class CommandTable:
    """Rows by name. `commands` are the rows by name, in capitals, and `members` those of subcommands (`CLIENT|ID`).

    `unsupported` are the names, of both kinds, that Redis has and this table has not. Raises `ValueError` where two
    rows have one name.
    """

    def __init__(self, rows: Iterable[Command[Any]]) -> None:
        rows = list(rows)
        members = [member for row in rows for member in row.members]
        self.commands: dict[bytes, Command[Any]] = {row.name: row for row in rows}
        self.members: dict[bytes, Command[Any]] = {member.name: member for member in members}
        if len(self.commands) < len(rows) or len(self.members) < len(members):
            raise ValueError("two rows have the same name")
        self.unsupported = REDIS_COMMANDS - self.commands.keys() - self.members.keys()
        self.spellings = {**self.commands, **{name.lower(): row for name, row in self.commands.items()}}
        """The rows of `commands` as nearly all clients spell their names. Others, and what is wrong, `find` finds."""

    def find(self, request: list[bytes]) -> Command[Any]:
        """Return the row for a request: that of the subcommand, if the command is a family.

        Raises `CommandError`, in Redis's words, for an unknown or unsupported name and for a wrong number of words.
        """
        name = request[0]
        command = self.spellings.get(name) or self.spellings.get(name.upper())
        if command is None:
            raise self._no_command(request)
        count = len(request)
        if command.members and count > 1:
            command = self._find_member(command, request[1])
        arity = command.arity
        if count != arity and (arity > 0 or count < -arity):
            raise wrong_number(command.name)
        return command

    def named(self, name: bytes) -> Command[Any] | None:
        """Return the row of a command or, as `FAMILY|MEMBER`, of a subcommand, in whatever case it is spelt."""
        return self.commands.get(name.upper()) or self.members.get(name.upper())

    def _find_member(self, family: Command[Any], asked: bytes) -> Command[Any]:
        name = family.name + b"|" + asked.upper()
        member = self.members.get(name)
        if member is not None:
            return member
        if name in self.unsupported:
            raise _unsupported(name)
        shown = asked[:_SHOWN_MAX].decode("utf-8", "backslashreplace")
        raise CommandError(f"ERR unknown subcommand '{shown}'. Try {family.title} HELP.")

    def _no_command(self, request: list[bytes]) -> CommandError:
        if request[0].upper() in self.unsupported and b"|" not in request[0]:
            return _unsupported(request[0].upper())
        shown = b""
        for arg in request[1:]:
            if len(shown) >= _SHOWN_MAX:
                break
            shown += b"'%s' " % shown_in_c(arg, _SHOWN_MAX - len(shown))
        text = b"ERR unknown command '%s', with args beginning with: %s" % (shown_in_c(request[0], _SHOWN_MAX), shown)
        return CommandError(text.decode("utf-8", "surrogateescape").replace("\r", " ").replace("\n", " "))


def _unsupported(name: bytes) -> CommandError:
    return CommandError(f"ERR unsupported command '{name.decode().replace('|', ' ')}': Deltaic does not have it")


COMMANDS: dict[bytes, Command[Session]] = {command.name: command for family in _FAMILIES for command in family.COMMANDS}
"""The plain commands by name, in capitals."""

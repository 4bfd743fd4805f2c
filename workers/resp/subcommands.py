"""Commands that are families, such as CLIENT and CONFIG: which members there are, and what is said of the others.

HELP is a member of each. What Redis has and Deltaic has not is refused by its name, as a whole command would be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_core.commands import ErrorReply, Status
from workers.resp.handler import Handler
from workers.resp.refusals import wrong_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.resp.connection import Connection

__all__ = ["Subcommand", "family"]


class Subcommand(NamedTuple):
    """`usage`: its name and arguments, as HELP shows them. `arity`: of its words, the family's name being one of them.

    `run`: as that of a `Handler`, with the arguments behind its name.
    """

    usage: str
    arity: int
    help: str
    run: Callable[[Connection, list[bytes]], Any]

    @property
    def name(self) -> bytes:
        return self.usage.split(" ", 1)[0].encode()


def family(name: bytes, members: tuple[Subcommand, ...], absent: str = "", *, queued: bool = False) -> Handler:
    """The handler of a family; `absent` names the members that Redis has and Deltaic has not."""
    known = {member.name: member for member in members}
    missing = frozenset(absent.encode().split())

    def run(connection: Connection, args: list[bytes]) -> Any:
        asked = args[0].upper()
        member = known.get(asked)
        if member is not None:
            count = len(args) + 1
            if count != member.arity and (member.arity > 0 or count < -member.arity):
                return wrong_number(b"|".join((name, asked)))
            return member.run(connection, args[1:])
        if asked == b"HELP":
            return _help(name, members)
        if asked in missing:
            return ErrorReply(f"ERR unsupported command '{name.decode()} {asked.decode()}': Deltaic does not have it")
        shown = args[0][:128].decode("utf-8", "backslashreplace")
        return ErrorReply(f"ERR unknown subcommand '{shown}'. Try {name.decode()} HELP.")

    return Handler(name, -2, run, queued=queued)


def _help(name: bytes, members: tuple[Subcommand, ...]) -> list[Status]:
    lines = [f"{name.decode()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for member in members:
        lines += [member.usage, f"    {member.help}"]
    return [Status(line) for line in [*lines, "HELP", "    Print this help."]]

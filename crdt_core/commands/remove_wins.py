"""DELTAIC.RWSADD and DELTAIC.RWSREM: sets where a remove wins over a concurrent add, for bans and blocks.

They make such a set whatever the policies say. The plain commands on sets do all the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.arguments import WRONG_TYPE
from crdt_core.commands.command import KEY, Command
from crdt_core.commands.replies import CommandError
from crdt_core.commands.sets import add_members, remove_members
from crdt_core.types import RWSET

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.types.object import Object

__all__ = ["COMMANDS"]


def _rwsadd(session: Session, args: list[bytes]) -> Reply:
    _must_let_removes_win(session.find(args[0]))
    return add_members(session, args, RWSET)


def _rwsrem(session: Session, args: list[bytes]) -> Reply:
    _must_let_removes_win(session.find(args[0]))
    return remove_members(session, args, RWSET)


def _must_let_removes_win(found: Object | None) -> None:
    if found is not None and found.type is not RWSET:
        raise CommandError(WRONG_TYPE)


COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "deltaic",
        "DELTAIC.RWSADD key member [member ...]",
        -3,
        KEY,
        "write denyoom fast",
        _rwsadd,
        "Adds members to a set where removes win.",
        "A concurrent remove wins.",
        "O(N) in the members",
    ),
    Command(
        "deltaic",
        "DELTAIC.RWSREM key member [member ...]",
        -3,
        KEY,
        "write denyoom fast",
        _rwsrem,
        "Removes members from a set where removes win, also members that nobody has added yet.",
        "It wins over a concurrent add.",
        "O(N) in the members",
    ),
)

"""DELTAIC.MVSET and DELTAIC.MVGET: strings that keep every concurrent value.

TYPE says `string`, and the commands on strings work on them: they see the newest value. DELTAIC.MVSET makes such a
string whatever the policies say; DELTAIC.MVGET returns all values, the newest first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.command import KEY, Command
from crdt_core.commands.replies import OK
from crdt_core.commands.slicing import clearing
from crdt_core.commands.strings import text_of
from crdt_core.types import MVREGISTER

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session

__all__ = ["COMMANDS"]


def _mvset(session: Session, args: list[bytes]) -> Reply:
    session.take(args[0])
    session.overwrite(args[0], MVREGISTER, args[1])
    return OK


def _mvget(session: Session, args: list[bytes]) -> Reply:
    found = session.find(args[0])
    if found is None:
        return []
    if found.type is MVREGISTER:
        return list(MVREGISTER.newest_first(session.view(found)))
    return [text_of(session, found)]


COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "deltaic",
        "DELTAIC.MVSET key value",
        3,
        KEY,
        "write denyoom fast",
        _mvset,
        "Sets a multi-value string, whatever the key held.",
        "All values are kept.",
        sliced=clearing(_mvset),
    ),
    Command(
        "deltaic",
        "DELTAIC.MVGET key",
        2,
        KEY,
        "readonly fast",
        _mvget,
        "Returns all values of a string that stand side by side, the newest first.",
        "",
        "O(N) in the values",
    ),
)

"""DELTAIC.EWENABLE and its like: flags, which Redis has no word for.

There are two kinds: of a concurrent enable and disable, the enable wins (EW) or the disable does (DW). A flag that is
not enabled is no key: EXISTS says 0, and DELTAIC.ENABLED does. DEL, TTL, EXPIRE and their like work as on any key.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.commands.arguments import WRONG_TYPE
from crdt_core.commands.command import Command
from crdt_core.commands.replies import CommandError
from crdt_core.types import DWFLAG, EWFLAG, FAMILIES, SLOT

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.types import CrdtType
    from crdt_core.types.object import Object

__all__ = ["COMMANDS"]

_FLAGS = FAMILIES["flag"]


def _as_one_of(types: tuple[CrdtType, ...], found: Object | None) -> Object | None:
    if found is not None and found.type not in types:
        raise CommandError(WRONG_TYPE)
    return found


def _enable(type_: CrdtType, session: Session, args: list[bytes]) -> Reply:
    found = _as_one_of((type_,), session.take(args[0]))
    session.replica.write(args[0], type_, SLOT, True)
    return int(found is None)


def _disable(type_: CrdtType, session: Session, args: list[bytes]) -> Reply:
    found = _as_one_of((type_,), session.take(args[0]))
    write = type_.take_out(session.replica.view(args[0], type_), SLOT)
    if write is not None:
        session.replica.write(args[0], type_, *write)
    return int(found is not None)


def _enabled(session: Session, args: list[bytes]) -> Reply:
    return int(_as_one_of(_FLAGS, session.find(args[0])) is not None)


_KEY = (1, 1, 1)

COMMANDS = (
    Command(b"DELTAIC.EWENABLE", 2, True, _KEY, partial(_enable, EWFLAG)),
    Command(b"DELTAIC.EWDISABLE", 2, True, _KEY, partial(_disable, EWFLAG)),
    Command(b"DELTAIC.DWENABLE", 2, True, _KEY, partial(_enable, DWFLAG)),
    Command(b"DELTAIC.DWDISABLE", 2, True, _KEY, partial(_disable, DWFLAG)),
    Command(b"DELTAIC.ENABLED", 2, False, _KEY, _enabled),
)

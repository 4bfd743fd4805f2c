"""DELTAIC.EWENABLE and its like: flags, which Redis has no word for.

There are two kinds: of a concurrent enable and disable, the enable wins (EW) or the disable does (DW). A flag that is
not enabled is no key: EXISTS says 0, and DELTAIC.ENABLED does. DEL, TTL, EXPIRE and their like work as on any key.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.commands.arguments import WRONG_TYPE
from crdt_core.commands.command import KEY, Command
from crdt_core.commands.replies import CommandError
from crdt_core.lattice.siblings import TOMBSTONE, WINNING_TOMBSTONE
from crdt_core.types import DWFLAG, EWFLAG, SLOT

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.types import CrdtType
    from crdt_core.types.object import Object

__all__ = ["COMMANDS"]

_FLAGS = (EWFLAG, DWFLAG)


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
    if found is not None or type_ is DWFLAG:
        session.replica.write(args[0], type_, SLOT, WINNING_TOMBSTONE if type_ is DWFLAG else TOMBSTONE)
    return int(found is not None)


def _enabled(session: Session, args: list[bytes]) -> Reply:
    return int(_as_one_of(_FLAGS, session.find(args[0])) is not None)


COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "deltaic",
        "DELTAIC.EWENABLE key",
        2,
        KEY,
        "write denyoom fast",
        partial(_enable, EWFLAG),
        "Enables a flag where enabling wins.",
        "It wins over a concurrent disable.",
    ),
    Command(
        "deltaic",
        "DELTAIC.EWDISABLE key",
        2,
        KEY,
        "write fast",
        partial(_disable, EWFLAG),
        "Disables a flag where enabling wins.",
        "A concurrent enable wins.",
    ),
    Command(
        "deltaic",
        "DELTAIC.DWENABLE key",
        2,
        KEY,
        "write denyoom fast",
        partial(_enable, DWFLAG),
        "Enables a flag where disabling wins.",
        "A concurrent disable wins.",
    ),
    Command(
        "deltaic",
        "DELTAIC.DWDISABLE key",
        2,
        KEY,
        "write denyoom fast",
        partial(_disable, DWFLAG),
        "Disables a flag where disabling wins.",
        "It wins over a concurrent enable.",
    ),
    Command(
        "deltaic",
        "DELTAIC.ENABLED key",
        2,
        KEY,
        "readonly fast",
        _enabled,
        "Says whether a flag of either kind is enabled.",
    ),
)

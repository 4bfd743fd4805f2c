"""DELTAIC.EWENABLE and its family: flags, a type that Redis does not have.

There are two kinds: of a concurrent enable and disable, the enable wins (EW) or the disable wins (DW). DELTAIC.FLAG.SET
writes a flag of either kind, and makes an EW flag or one of the kind that the caller names. DELTAIC.ENABLED reads
either kind. A flag that is not enabled is no key: EXISTS and DELTAIC.ENABLED say 0. DEL, TTL, EXPIRE and the like work
as on any key.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.commands.command import KEY, Command
from crdt_core.commands.kinds import Kinds, parse_options
from crdt_core.errors import InvalidArgument, brief
from crdt_core.types import DWFLAG, EWFLAG, SLOT

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.types import CrdtType

__all__ = ["COMMANDS"]

_KINDS = Kinds(EWFLAG, DWFLAG)
_SWITCH = {b"0": False, b"1": True}


def _enable(type_: CrdtType, session: Session, args: list[bytes]) -> Reply:
    found = session.take(args[0])
    _KINDS.resolve(found, type_, type_)
    session.replica.write(args[0], type_, SLOT, True)
    return int(found is None)


def _disable(type_: CrdtType, session: Session, args: list[bytes]) -> Reply:
    found = session.take(args[0])
    _KINDS.resolve(found, type_, type_)
    session.take_out(args[0], type_, SLOT)
    return int(found is not None)


def _set(session: Session, args: list[bytes]) -> Reply:
    """The flag's new value. To disable a flag that is not enabled changes nothing, unless the caller names its kind."""
    enabled = _SWITCH.get(args[1])
    if enabled is None:
        raise InvalidArgument("flag", f"{brief(args[1].decode('utf-8', 'replace'))} is neither 0 nor 1")
    wanted = _KINDS.parse(parse_options(args[2:], b"KIND"))
    found = session.take(args[0])
    type_ = _KINDS.resolve(found, wanted, EWFLAG)
    if enabled:
        session.replica.write(args[0], type_, SLOT, True)
    elif found is not None or wanted is not None:
        session.take_out(args[0], type_, SLOT)
    return int(enabled)


def _enabled(session: Session, args: list[bytes]) -> Reply:
    return int(_KINDS.check(session.find(args[0])) is not None)


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
        "DELTAIC.FLAG.SET key flag [KIND kind]",
        -3,
        KEY,
        "write denyoom fast",
        _set,
        "Enables (1) or disables (0) a flag of a kind: dwflag, or ewflag for a new one.",
        "The kind of the flag decides.",
        since="0.2.0",
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

"""DELTAIC.REGISTER.SET and DELTAIC.REGISTER.GET: registers whose kind, and time, the caller names.

Of an `lwwregister` the write with the largest timestamp shows. An `mvregister` shows every concurrent write. A write to
an lwwregister has the caller's timestamp where it gives one, zero and below included: then it changes nothing if what
shows is newer. Without one the hybrid clock stamps the write, and the write wins over everything that it has seen.

Without a `KIND`, a timestamp means lwwregister and none means mvregister.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.arguments import parse_integer
from crdt_core.commands.command import KEY, Command
from crdt_core.commands.kinds import Kinds, parse_options
from crdt_core.commands.replies import Map
from crdt_core.errors import InvalidArgument
from crdt_core.types import LWWREGISTER, MVREGISTER
from crdt_core.types.registers import set_at, set_now

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session

__all__ = ["COMMANDS"]

_KINDS = Kinds(LWWREGISTER, MVREGISTER)


def _set(session: Session, args: list[bytes]) -> Reply:
    """Whether the write took effect."""
    key, value = args[0], args[1]
    options = parse_options(args[2:], b"TIMESTAMP", b"KIND")
    timestamp = parse_integer(options[b"TIMESTAMP"]) if b"TIMESTAMP" in options else None
    wanted = _KINDS.parse(options) or (MVREGISTER if timestamp is None else LWWREGISTER)
    type_ = _KINDS.resolve(session.take(key), wanted, wanted)
    view = session.replica.view(key, type_)
    if timestamp is None:
        session.replica.write(key, type_, *set_now(view, value, session.now))
        return 1
    if type_ is MVREGISTER:
        raise InvalidArgument("timestamp", "a multi-value write has none")
    write = set_at(view, value, timestamp)
    if write is None:
        return 0
    session.replica.write(key, type_, *write)
    return 1


def _get(session: Session, args: list[bytes]) -> Reply:
    """The kind, the values in a stable order, and the timestamp of the value that shows in an lwwregister."""
    found = _KINDS.check(session.find(args[0]))
    if found is None:
        return None
    view = session.view(found)
    winner = LWWREGISTER.winner(view) if found.type is LWWREGISTER else None
    values = MVREGISTER.value(view) if winner is None else [winner.value]
    session.must_fit_reply(values)
    return Map(
        [
            (b"kind", found.type.encoded_name),
            (b"values", list(values)),
            (b"timestamp", None if winner is None else winner.ms),
        ]
    )


COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "deltaic",
        "DELTAIC.REGISTER.SET key value [TIMESTAMP timestamp] [KIND kind]",
        -3,
        KEY,
        "write denyoom fast",
        _set,
        "Writes a register of a kind: lwwregister, which may have a timestamp, or mvregister.",
        "Of an lwwregister the later write is kept, of an mvregister all are.",
        since="0.2.0",
    ),
    Command(
        "deltaic",
        "DELTAIC.REGISTER.GET key",
        2,
        KEY,
        "readonly",
        _get,
        "Returns the kind, the values and the timestamp of a register.",
        since="0.2.0",
        heavy=True,
    ),
)

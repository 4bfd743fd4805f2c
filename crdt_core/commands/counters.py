"""DELTAIC.COUNTER.ADD and its family: the counters of kind `gcounter` (grows only) and `pncounter`.

INCR and its like count on strings. These commands count on objects that are nothing but counters: a replica adds to its
own share, so concurrent additions add up. A new counter is a pncounter unless the command names a kind.

    > DELTAIC.COUNTER.ADD visits 5 KIND gcounter
    (integer) 5
    > DELTAIC.COUNTER.GET visits
    1) "kind"   2) "gcounter"   3) "value"   4) (integer) 5
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.commands.command import KEY, Command
from crdt_core.commands.kinds import Kinds, key_text, parse_options
from crdt_core.commands.replies import Map
from crdt_core.errors import CounterOverflow, WrongType
from crdt_core.lattice.clocks import check_replica_id
from crdt_core.types import GCOUNTER, PNCOUNTER
from crdt_core.types.counters import INT64_MAX, INT64_MIN, adjusted, check_amount, raise_share, within_64_bits
from crdt_core.types.strings import integer

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session

__all__ = ["COMMANDS"]

_KINDS = Kinds(PNCOUNTER, GCOUNTER)


def _add(sign: int, session: Session, args: list[bytes]) -> Reply:
    key, amount = args[0], sign * _amount(args[1])
    wanted = _KINDS.parse(parse_options(args[2:], b"KIND"))
    type_ = _KINDS.resolve(session.take(key), wanted, PNCOUNTER)
    if sign < 0 and type_.grow_only:
        hint = "a grow-only counter cannot be decremented"
        raise WrongType(key_text(key), type_.name, PNCOUNTER.name, hint)
    replica = session.replica
    value, share = adjusted(replica.view(key, type_), replica.encoded_id, amount, key)
    if amount:
        replica.write(key, type_, replica.encoded_id, share)
    return within_64_bits(value)


def _get(session: Session, args: list[bytes]) -> Reply:
    found = _KINDS.check(session.find(args[0]))
    if found is None:
        return None
    value: int = found.type.value(session.view(found))
    if not INT64_MIN <= value <= INT64_MAX:
        raise CounterOverflow(key_text(args[0]))
    return Map([(b"kind", found.type.encoded_name), (b"value", value)])


def _raise(session: Session, args: list[bytes]) -> Reply:
    key, total = args[0], _amount(args[2])
    owner = check_replica_id(args[1].decode("utf-8", "backslashreplace")).encode()
    type_ = _KINDS.resolve(session.take(key), None, GCOUNTER)
    share = raise_share(session.replica.view(key, type_), owner, total)
    if share is None or owner == session.replica.encoded_id:
        return 0
    session.replica.write(key, type_, owner, share)
    return 1


def _amount(text: bytes) -> int:
    """Return the integer from 0 to 2^63-1 that `text` spells. Raises `InvalidArgument`."""
    found = integer(text)
    return check_amount(text.decode("utf-8", "replace") if found is None else found)


COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "deltaic",
        "DELTAIC.COUNTER.ADD key amount [KIND kind]",
        -3,
        KEY,
        "write denyoom fast",
        partial(_add, 1),
        "Adds to a counter of a kind: gcounter, or pncounter for a new one. Returns its value.",
        "The amounts add up.",
        since="0.2.0",
    ),
    Command(
        "deltaic",
        "DELTAIC.COUNTER.SUBTRACT key amount [KIND kind]",
        -3,
        KEY,
        "write denyoom fast",
        partial(_add, -1),
        "Takes away from a pncounter. Returns its value.",
        "The amounts add up.",
        since="0.2.0",
    ),
    Command(
        "deltaic",
        "DELTAIC.COUNTER.GET key",
        2,
        KEY,
        "readonly fast",
        _get,
        "Returns the kind and the value of a counter.",
        since="0.2.0",
    ),
    Command(
        "deltaic",
        "DELTAIC.COUNTER.RAISE key replica total",
        4,
        KEY,
        "write denyoom fast",
        _raise,
        "Learns that another replica has counted up to a total.",
        "The largest total of each replica counts.",
        since="0.2.0",
    ),
)

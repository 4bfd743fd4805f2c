"""String: a last-writer-wins register and a counter under one key.

The slot holds what was written whole (`Stamped`, as in a register). Beside it stand shares, as in a counter: what each
replica has added since. Where the value that was written is an integer, or nothing was, the shares count on top:

    A: SET c 100     slot: 100, and the shares it saw are spent     } concurrent: 101
    B: INCR c        n2: (6, 0), of which A has seen (5, 0)         }

An increment writes only its own share, so increments at all replicas add; a value that is no integer hides them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.errors import InvalidArgument, Malformed
from crdt_core.lattice.clocks import Dot, Stamp, check_replica_id
from crdt_core.lattice.siblings import TOMBSTONE, ObservedReset, shows, unfold
from crdt_core.types.contract import SLOT, CrdtType, View, encode_text
from crdt_core.types.counters import (
    INT64_MAX,
    INT64_MIN,
    Share,
    add_to_share,
    decode_share,
    encode_share,
    net,
    share_json,
    totals,
)
from crdt_core.types.registers import Stamped, decode_stamped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crdt_core.lattice.replica_index import PackedDot, ReplicaIndex
    from crdt_core.lattice.siblings import Payload, Siblings

__all__ = [
    "StringType",
    "decode_written",
    "encode_written",
    "fold_counted",
    "fold_written",
    "incremented",
    "integer",
    "observed_reset",
    "overwrite",
    "set_whole",
    "written_json",
]

_new = tuple.__new__  # a named tuple's own way costs twice as much, and a share is made for every increment


class StringType(CrdtType):
    """A string as Redis has it; parts: the slot, and the shares by replica id."""

    name = "string"

    def value(self, view: View) -> bytes | None:
        """The value that shows, `None` where there is none."""
        return text(view.parts, view.replica_index)

    def winning_dot(self, view: View) -> Dot | None:
        winner = latest(view.parts.get(SLOT), view.replica_index)
        return view.replica_index.unpack(winner[0]) if winner else None

    def removal(self, view: View, part: bytes) -> Payload:
        return observed_reset(view.parts.get(part)) if part else TOMBSTONE

    def owner(self, part: bytes) -> bytes | None:
        return part or None

    def decode_part(self, value: Any) -> bytes:
        if value == "":
            return SLOT
        try:
            return check_replica_id(value).encode()
        except InvalidArgument as error:
            raise Malformed("part", f"{self.name}: {error}") from error

    def encode_payload(self, payload: Payload) -> Any:
        return encode_written(payload)

    def payload_json(self, payload: Payload) -> bytes:
        if type(payload) is Share:
            increments, decrements, base_increments, base_decrements = payload
            if base_increments == base_decrements == 0 and increments <= INT64_MAX >= decrements:
                return b"[%d,%d]" % (increments, decrements)  # written as often as anything
        return written_json(payload)

    def decode_payload(self, value: Any) -> Payload:
        return decode_written(self.name, value)


def encode_written(payload: Payload) -> Any:
    """`["value",ms,logical]` of a slot, `[5,0]` and the like of a share."""
    return (
        [encode_text(payload.value), payload.ms, payload.logical] if type(payload) is Stamped else encode_share(payload)
    )


def written_json(payload: Payload) -> bytes:
    """The JSON of `encode_written`."""
    return orjson.dumps(encode_written(payload)) if type(payload) is Stamped else share_json(payload)


def decode_written(name: str, value: Any) -> Payload:
    """The inverse of `encode_written`; raises `Malformed`."""
    if isinstance(value, list) and len(value) == 3:
        return decode_stamped(name, value)
    return decode_share(name, value)


def integer(text: bytes) -> int | None:
    """The integer that `text` spells in the one canonical way, of 64 bits; else `None`.

    >>> integer(b"-7"), integer(b"007"), integer(b"1_0"), integer(b"9223372036854775808")
    (-7, None, None, None)
    """
    if not 0 < len(text) < 21:
        return None
    try:
        found = int(text)
    except ValueError:
        return None
    return found if b"%d" % found == text and INT64_MIN <= found <= INT64_MAX else None


def latest(slot: Siblings, replica_index: ReplicaIndex) -> tuple[PackedDot, Stamped] | None:
    """The write of a slot that shows, with its dot."""
    if type(slot) is tuple:
        return slot if type(slot[1]) is Stamped else None
    written = [(dot, payload) for dot, payload in unfold(slot).items() if type(payload) is Stamped]
    return max(written, key=lambda w: (w[1].ms, w[1].logical, replica_index.unpack(w[0])), default=None)


def fold_written(slot: Siblings, shares: Iterable[Siblings], replica_index: ReplicaIndex) -> bytes | None:
    """The value of a slot and the shares beside it; `None` where nothing shows."""
    winner = latest(slot, replica_index) if slot is not None else None
    added = [net(siblings) for siblings in shares if shows(siblings)]
    if winner is None:
        return b"%d" % sum(added) if added else None
    written = winner[1].value
    base = integer(written) if any(added) else None
    return written if base is None else b"%d" % (base + sum(added))


def fold_counted(slot: Siblings, shares: Iterable[Siblings], replica_index: ReplicaIndex) -> int | None:
    """The integer that a slot and the shares beside it come to, 0 where nothing shows; `None` where it is none.

    What concurrent increments come to may be beyond 64 bits; what was written whole may not.
    """
    winner = latest(slot, replica_index) if slot is not None else None
    base = 0 if winner is None else integer(winner[1].value)
    return None if base is None else base + sum(net(siblings) for siblings in shares if shows(siblings))


def set_whole(view: View, value: bytes, now: Stamp) -> list[tuple[bytes, Payload]]:
    """The writes that make `value` the string: the slot, and the end of all shares seen."""
    spent = [(part, observed_reset(siblings)) for part, siblings in view.parts.items() if part and shows(siblings)]
    return [(SLOT, overwrite(view.parts.get(SLOT), value, now, view.replica_index)), *spent]


def text(parts: Mapping[bytes, Siblings], replica_index: ReplicaIndex) -> bytes | None:
    """The value of a string of these parts; `None` where nothing shows."""
    if len(parts) == 1:
        for siblings in parts.values():
            if type(siblings) is tuple and type(siblings[1]) is Stamped:
                return siblings[1].value
            if type(siblings) is tuple and type(siblings[1]) is Share:
                return b"%d" % net(siblings)
    return fold_written(parts.get(SLOT), [siblings for part, siblings in parts.items() if part], replica_index)


def incremented(
    parts: Mapping[bytes, Siblings], part: bytes, amount: int, replica_index: ReplicaIndex
) -> tuple[int, Share] | None:
    """What a string of these parts will show once `amount` is added to the share `part`, and the share then.

    `None` where what it shows is no integer. Nothing counts as 0.
    """
    siblings = parts.get(part)
    if len(parts) == 1 and type(siblings) is tuple and type(share := siblings[1]) is Share:
        increments, decrements, base_increments, base_decrements = share
        if amount >= 0:
            increments += amount
        else:
            decrements -= amount
        after = increments - decrements - base_increments + base_decrements
        return after, _new(Share, (increments, decrements, base_increments, base_decrements))
    before = fold_counted(parts.get(SLOT), [held for name, held in parts.items() if name], replica_index)
    return None if before is None else (before + amount, add_to_share(siblings, amount))


def overwrite(slot: Siblings, value: bytes, now: Stamp, replica_index: ReplicaIndex) -> Stamped:
    """The write of a slot that replaces what has been seen of it, later than it whatever the clocks say."""
    seen = latest(slot, replica_index)
    if seen is None or seen[1][1:] < now:
        return Stamped(value, *now)
    return Stamped(value, *Stamp(seen[1].ms, seen[1].logical).successor())


def observed_reset(siblings: Siblings) -> ObservedReset:
    """The removal of a share: it takes away what it has seen of it."""
    now = totals(siblings)
    return ObservedReset(now.increments, now.decrements)

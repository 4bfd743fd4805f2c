"""String: a last-writer-wins register and a counter under one key.

The slot holds what was written whole (`Stamped`, as in a register). Beside it stand shares, as in a counter: what each
replica has added since. If the value that was written is an integer, or nothing was written, the shares count on top:

    A: SET c 100     slot: 100, and an observed reset of each share    } concurrent: 101
    B: INCR c        n2: (6, 0), of which A has seen (5, 0)            }

An increment writes only the replica's own share, so concurrent increments add, fractions among them. A value that is no
number hides them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.errors import InvalidArgument, Malformed
from crdt_core.lattice.clocks import check_replica_id
from crdt_core.lattice.siblings import TOMBSTONE, shows
from crdt_core.types.contract import SLOT, CrdtType
from crdt_core.types.counters import (
    INT64_MAX,
    INT64_MIN,
    Share,
    add_to_share,
    decode_share,
    encode_share,
    net,
    observed_reset,
    repeat_share,
)
from crdt_core.types.numbers import EXACT_MAX, parse_number, write_number
from crdt_core.types.registers import (
    Stamped,
    decode_stamped,
    encode_stamped,
    explain_stamped,
    latest,
    overwrite,
    repeat_stamped,
    stamped_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crdt_core.lattice.clocks import Dot, Stamp
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Payload, Siblings
    from crdt_core.types.contract import FormerWrite, LiveWrite, PartWrite, View
    from crdt_core.types.numbers import Number
    from crdt_core.types.object import Object

__all__ = [
    "STRING",
    "StringType",
    "WrittenType",
    "explain_share",
    "fold_counted",
    "fold_exact",
    "fold_written",
    "incremented",
    "integer",
    "set_whole",
    "string_exact",
]

_new = tuple.__new__  # a named tuple's own way costs twice as much, and a share is made for every increment


class WrittenType(CrdtType):
    """What strings and the fields of hashes share: slots that are written whole, and shares that count on top."""

    def encode_payload(self, payload: Payload) -> Any:
        """Return `["value",ms,logical]` for a slot, `[5,0]` and the like for a share."""
        return encode_stamped(payload) if type(payload) is Stamped else encode_share(payload)

    def payload_json(self, payload: Payload) -> bytes:
        if type(payload) is Share:
            increments, decrements, base_increments, base_decrements = payload
            if base_increments == base_decrements == 0 and increments <= INT64_MAX >= decrements:
                return b"[%d,%d]" % (increments, decrements)  # `share_json` without a call: INCR writes little else
        elif type(payload) is Stamped:
            return stamped_json(payload)
        return orjson.dumps(self.encode_payload(payload))

    def decode_payload(self, value: Any) -> Payload:
        if isinstance(value, list) and len(value) == 3:
            return decode_stamped(self.name, value)
        return decode_share(self.name, value, floats=True)

    def repeat(self, write: FormerWrite) -> list[PartWrite]:
        if isinstance(write.payload, Share):
            return repeat_share(write) if self.owner(write.part) == write.former.encode() else []
        return repeat_stamped(write) if type(write.payload) is Stamped else super().repeat(write)


class StringType(WrittenType):
    """A string as Redis has it. The parts are the slot, and the shares by replica id."""

    name = "string"
    event_class = "$"

    def value(self, view: View) -> bytes | None:
        """Return the value that shows, `None` if there is none."""
        return self.text(view.parts, view.replica_index)

    def text(self, parts: Mapping[bytes, Siblings], replica_index: ReplicaIndex) -> bytes | None:
        if len(parts) == 1:
            for siblings in parts.values():
                if type(siblings) is tuple and type(siblings[1]) is Stamped:
                    return siblings[1].value
                if type(siblings) is tuple and type(siblings[1]) is Share:
                    return b"%d" % net(siblings)
        return fold_written(parts.get(SLOT), [siblings for part, siblings in parts.items() if part], replica_index)

    def winning_dot(self, view: View) -> Dot | None:
        winner = latest(view.parts.get(SLOT), view.replica_index)
        return view.replica_index.unpack(winner[0]) if winner else None

    def removal(self, view: View, part: bytes) -> Payload:
        return observed_reset(view.parts.get(part)) if part else TOMBSTONE

    def owner(self, part: bytes) -> bytes | None:
        return part or None

    def contents(self, view: View) -> bytes | None:
        return self.text(view.parts, view.replica_index)

    def rewrite(self, view: View, contents: bytes, now: Stamp) -> list[PartWrite]:
        return set_whole(view, contents, now)

    def add_amount(self, view: View, replica: bytes, amount: int, now: Stamp) -> list[PartWrite]:  # noqa: ARG002
        return [(replica, add_to_share(view.parts.get(replica), amount))]

    def decode_part(self, value: Any) -> bytes:
        if value == "":
            return SLOT
        try:
            return check_replica_id(value).encode()
        except InvalidArgument as error:
            raise Malformed("part", f"{self.name}: {error}") from error

    def explain(self, write: LiveWrite) -> str:
        return explain_share(write, write.view.parts.get(SLOT)) if write.part else explain_stamped(write)

    def events(self, part: bytes, before: Siblings, now: Siblings) -> list[bytes]:  # noqa: ARG002
        if not shows(now):
            return []
        return [b"incrby"] if part else [b"set"]


STRING = StringType()


def integer(text: bytes) -> int | None:
    """Return the integer that `text` spells in the one canonical way, within 64 bits; else `None`.

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


# A slot with its shares


def fold_written(slot: Siblings, shares: Iterable[Siblings], replica_index: ReplicaIndex) -> bytes | None:
    """Return the value of a slot and the shares beside it; `None` if nothing shows."""
    winner = latest(slot, replica_index) if slot is not None else None
    added = [net(siblings) for siblings in shares if shows(siblings)]
    if winner is None:
        return write_number(sum(added)) if added else None
    base = _number(winner[1].value) if added else None
    return winner[1].value if base is None else write_number(base + sum(added))


def fold_exact(slot: Siblings, shares: Iterable[Siblings], replica_index: ReplicaIndex) -> Number | None:
    """Return the exact number of a slot and the shares beside it, 0 if nothing shows; `None` if it is no number."""
    winner = latest(slot, replica_index) if slot is not None else None
    base = 0 if winner is None else _number(winner[1].value)
    return None if base is None else base + sum(net(siblings) for siblings in shares if shows(siblings))


def string_exact(parts: Mapping[bytes, Siblings], replica_index: ReplicaIndex) -> Number | None:
    """Return the exact number of a string, 0 if it does not show; `None` if its value is no number."""
    return fold_exact(parts.get(SLOT), [siblings for part, siblings in parts.items() if part], replica_index)


def fold_counted(slot: Siblings, shares: Iterable[Siblings], replica_index: ReplicaIndex) -> int | None:
    """Return the integer that a slot and the shares beside it show, 0 if nothing shows; `None` if it is no integer.

    The sum of concurrent increments may be beyond 64 bits. A value that was written whole may not.
    """
    shares = [siblings for siblings in shares if shows(siblings)]
    winner = latest(slot, replica_index) if slot is not None else None
    if winner is not None and not shares:
        return integer(winner[1].value)
    exact = fold_exact(slot, shares, replica_index)
    if exact is None:
        return None
    is_count = winner is None or integer(winner[1].value) is not None
    if is_count and type(exact) is int and abs(exact) < EXACT_MAX:
        return exact
    return integer(write_number(exact))


def _number(text: bytes) -> Number | None:
    """Return the number that `text` spells, `None` if it spells none."""
    found = integer(text)
    return parse_number(text) if found is None else found


def set_whole(view: View, value: bytes, now: Stamp) -> list[PartWrite]:
    """Return the writes that make `value` the string: one of the slot, and an observed reset of each share."""
    resets = [(part, observed_reset(siblings)) for part, siblings in view.parts.items() if part and shows(siblings)]
    return [(SLOT, overwrite(view.parts.get(SLOT), value, now, view.replica_index)), *resets]


def incremented(string: Object, part: bytes, amount: int, replica_index: ReplicaIndex) -> tuple[int, Share] | None:
    """Return the integer that `string` shows once `amount` is added to the share `part`, and that share then.

    Return `None` if the string shows no integer. A string that does not show counts as 0.
    """
    siblings = string.held
    if string.only == part and type(siblings) is tuple and type(share := siblings[1]) is Share:
        increments, decrements, base_increments, base_decrements = share
        if amount >= 0:
            increments += amount
        else:
            decrements -= amount
        after = increments - decrements - base_increments + base_decrements
        return after, _new(Share, (increments, decrements, base_increments, base_decrements))
    parts = string.parts
    before = fold_counted(parts.get(SLOT), [held for name, held in parts.items() if name], replica_index)
    return None if before is None else (before + amount, add_to_share(parts.get(part), amount))


def explain_share(write: LiveWrite, slot: Siblings) -> str:
    """Return what becomes of a share beside `slot`."""
    amount = net(write.view.parts.get(write.part))
    winner = latest(slot, write.view.replica_index)
    shown = write_number(amount).decode()
    if winner is not None and _number(winner[1].value) is None:
        return f"would add {shown}, but what shows is no number"
    return f"adds {shown}"

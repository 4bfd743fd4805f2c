"""GCounter and PNCounter, with an exact observed reset.

There is one part per replica: its *share*, the running totals of what that replica has added and taken away. Only the
replica itself writes its share. So a write replaces the one before, and an object has no more shares than replicas.

The difficulty is the delete. It must take away what it saw and nothing else, although a concurrent increment at the
owner has replaced the very share that it saw. So a removal says what it saw (`ObservedReset`), as totals, which only
grow. Beside a newer share of totals (p, n), it leaves p and n less the totals that it names. The owner's next write
takes these totals over as the *base* of the share. So a counter that is incremented and deleted for ever has one write
per share.

    n1 adds 5          n1: (5, 0)                               value 5
    n2 deletes         n1: ObservedReset(5, 0)                  value 0    } concurrent
    n1 adds 2          n1: (7, 0)                               value 7    }
    both               n1: (7, 0) beside ObservedReset(5, 0)    value 2
    n1 adds 1          n1: (8, 0, base 5, 0)                    value 3

Source: state-based counters of Shapiro et al. 2011, section 3.1. The observed reset is ours (compare Baquero, Almeida,
Lerche 2016, "The problem with embedded CRDT counters").
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from crdt_core.errors import CounterOverflow, InvalidArgument, Malformed, brief
from crdt_core.lattice.clocks import check_replica_id
from crdt_core.lattice.siblings import ObservedReset, shows, unfold
from crdt_core.types.contract import CrdtType
from crdt_core.types.numbers import EXACT_MAX, UNIT_BITS, Number
from crdt_core.types.text import encode_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import Stamp
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Payload, Siblings
    from crdt_core.types.contract import FormerWrite, LiveWrite, PartWrite, View

__all__ = [
    "GCOUNTER",
    "INT64_MAX",
    "INT64_MIN",
    "PNCOUNTER",
    "CounterType",
    "FloatShare",
    "Share",
    "add_to_share",
    "adjust",
    "adjusted",
    "check_amount",
    "decode_share",
    "encode_share",
    "net",
    "observed_reset",
    "overflows",
    "plus",
    "raise_share",
    "repeat_share",
    "share_json",
    "share_of",
    "totals",
    "within_64_bits",
]

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)

_NO_BASE = (0, 0, 0, 0)
_DECIMAL_BELOW = 10**40
_TOTAL_MAX = 2**16512
"""More than 2^127 additions of the largest `long double` come to."""
_TEXT_MAX = 5000
_BINARY = re.compile(rf"0x([1-9a-f][0-9a-f]*)p(0|[1-9]\d{{0,4}}|-(?:[1-9]|[1-9]\d|1[01]\d|{UNIT_BITS}))")

_new = tuple.__new__  # a named tuple's own way costs twice as much, and a share is made for every increment


class Share(NamedTuple):
    """One replica's part in a counter: what it has ever added and taken away, and the base that removals have reset."""

    increments: int
    decrements: int
    base_increments: int = 0
    base_decrements: int = 0


class FloatShare(Share):
    """A share with a total that only INCRBYFLOAT leads to: a `Fraction`, or an integer from 2^80 on.

    Only strings and the fields of hashes have such shares.
    """

    __slots__ = ()


class Totals(NamedTuple):
    """A part folded: the totals so far, and the base that removals have reset."""

    increments: Number
    decrements: Number
    base_increments: Number
    base_decrements: Number

    @property
    def net(self) -> Number:
        """What the part adds to the value."""
        return self.increments - self.base_increments - (self.decrements - self.base_decrements)


class CounterType(CrdtType):
    """What both counters share. A part is a replica id; a payload is a `Share`, or an `ObservedReset` for a removal."""

    redis_type = "string"
    event_class = "$"
    family = "string"
    plain = False

    def value(self, view: View) -> int:
        """Return the sum of all shares. Concurrent writes together may take it beyond 64 bits."""
        return sum(int(net(siblings)) for siblings in view.parts.values() if shows(siblings))

    def text(self, parts: Mapping[bytes, Siblings], replica_index: ReplicaIndex) -> bytes:  # noqa: ARG002
        return b"%d" % sum(net(siblings) for siblings in parts.values() if shows(siblings))

    def removal(self, view: View, part: bytes) -> Payload:
        return observed_reset(view.parts.get(part))

    def owner(self, part: bytes) -> bytes | None:
        return part

    def contents(self, view: View) -> bytes:
        return self.text(view.parts, view.replica_index)

    def add_amount(self, view: View, replica: bytes, amount: int, now: Stamp) -> list[PartWrite]:  # noqa: ARG002
        return [adjust(view, replica, amount)]

    def decode_part(self, value: Any) -> bytes:
        try:
            return check_replica_id(value).encode()
        except InvalidArgument as error:
            raise Malformed("part", f"{self.name}: {error}") from error

    def encode_payload(self, payload: Payload) -> Any:
        return encode_share(payload)

    def payload_json(self, payload: Payload) -> bytes:
        return share_json(payload)

    def decode_payload(self, value: Any) -> Payload:
        payload = decode_share(self.name, value)
        if self.grow_only and payload.decrements:
            raise Malformed("payload", f"{self.name}: {brief(value)} has decrements")
        return payload

    def explain(self, write: LiveWrite) -> str:
        return f"adds {net(write.view.parts.get(write.part))}"

    def events(self, part: bytes, before: Siblings, now: Siblings) -> list[bytes]:  # noqa: ARG002
        return [b"incrby"] if shows(now) else []

    def repeat(self, write: FormerWrite) -> list[PartWrite]:
        """Count an increment once more, unless the counter would leave 64 bits. A delete is not repeated."""
        if type(write.payload) is not Share or write.part != write.former.encode():
            return []
        fits = INT64_MIN <= self.value(write.view) + _growth(write) <= INT64_MAX
        return repeat_share(write) if fits else []


class GCounterType(CounterType):
    """A counter that only grows, but may be deleted whole."""

    name = "gcounter"
    grow_only = True


class PNCounterType(CounterType):
    """A counter that grows and shrinks."""

    name = "pncounter"


GCOUNTER = GCounterType()
PNCOUNTER = PNCounterType()


# Folding shares


def totals(siblings: Siblings) -> Totals:
    """Return the totals of a part. Its base is the largest totals that its observed resets name.

    An `ObservedReset` without a share adds 0.

    >>> totals({1: Share(7, 0), 2: ObservedReset(5, 0)}).net
    2
    """
    payloads = list(unfold(siblings).values())
    resets = [(p.increments, p.decrements) for p in payloads if type(p) is ObservedReset]
    shares = [p for p in payloads if isinstance(p, Share)]
    resets += [(p.base_increments, p.base_decrements) for p in shares]
    base_increments = max((increments for increments, _ in resets), default=0)
    base_decrements = max((decrements for _, decrements in resets), default=0)
    return Totals(
        max([base_increments, *(p.increments for p in shares)]),
        max([base_decrements, *(p.decrements for p in shares)]),
        base_increments,
        base_decrements,
    )


def net(siblings: Siblings) -> Number:
    """Return what a part adds to the value."""
    if type(siblings) is tuple and type(siblings[1]) is Share:
        share = siblings[1]
        return share[0] - share[1] - share[2] + share[3]
    return totals(siblings).net


# Writing shares


def adjusted(view: View, replica: bytes, amount: int, key: bytes = b"") -> tuple[int, Share]:
    """Return the counter's value once `replica` has added `amount` (negative: taken away), and its share then.

    Raises `CounterOverflow`, for which alone `key` is given, where `overflows` says so. Not idempotent.
    """
    value = sum(int(net(siblings)) for siblings in view.parts.values()) + amount
    if overflows(value, amount):
        raise CounterOverflow(str(encode_text(key)))
    return value, add_to_share(view.parts.get(replica), amount)


def within_64_bits(value: int) -> int:
    """Return the 64-bit integer that is nearest to `value`, for replies, which cannot be larger."""
    return max(INT64_MIN, min(value, INT64_MAX))


def overflows(value: int, amount: int) -> bool:
    """Return whether adding `amount` has taken a count to a `value` beyond 64 bits, or left it there.

    Concurrent increments may take it there. What brings it nearer again is no overflow.

    >>> overflows(2**63, 1), overflows(2**63, 0), overflows(2**63, -1), overflows(2**63 - 1, 1)
    (True, True, False, False)
    """
    return (value > INT64_MAX and amount >= 0) or (value < INT64_MIN and amount <= 0)


def adjust(view: View, replica: bytes, amount: int, key: bytes = b"") -> tuple[bytes, Share]:
    """Return the write by which `replica` adds `amount` (negative: takes away). Raises `CounterOverflow`.

    The arguments are those of `adjusted`.
    """
    return replica, adjusted(view, replica, amount, key)[1]


def add_to_share(siblings: Siblings, amount: Number) -> Share:
    """Return the share of a part after its owner has added `amount` (negative: taken away)."""
    is_plain = type(siblings) is tuple and type(siblings[1]) is Share
    return plus(siblings[1] if is_plain else totals(siblings), amount)  # type: ignore[index]


def plus(share: Share | Totals, amount: Number) -> Share:
    """Return `share` with `amount` added (negative: taken away)."""
    increments, decrements, base_increments, base_decrements = share
    if amount >= 0:
        increments += amount
    else:
        decrements -= amount
    if type(share) is Share and type(amount) is int and -EXACT_MAX < amount < EXACT_MAX:
        return _new(Share, (increments, decrements, base_increments, base_decrements))
    return share_of(increments, decrements, base_increments, base_decrements)


def share_of(*totals_: Number) -> Share:
    """Return the share with these four totals. A total that is an integer becomes an `int`."""
    whole = [total.numerator if total.denominator == 1 else total for total in totals_]
    is_plain = all(type(total) is int for total in whole) and max(whole) < EXACT_MAX
    return _new(Share if is_plain else FloatShare, whole)


def observed_reset(siblings: Siblings) -> ObservedReset:
    """Return the payload that removes a share: it takes away the totals that are seen."""
    now = totals(siblings)
    return ObservedReset(now.increments, now.decrements)  # type: ignore[arg-type]


def raise_share(view: View, part: bytes, total: int) -> Share | None:
    """Return the share that says that the increments of `part` have come to `total`; `None` if that is known.

    This is for what is learned of a share by other ways than replication. Shares fold to their maximum, so an increment
    that arrives by both ways counts once.
    """
    now = totals(view.parts.get(part))
    return share_of(total, *now[1:]) if total > now.increments else None


def repeat_share(write: FormerWrite) -> list[PartWrite]:
    """Return the writes that repeat a `Share` of a former id: the share of the new id, grown by as much.

    `write.part` is the share's, so it ends with the former id.
    """
    amount = _growth(write)
    own = write.part.removesuffix(write.former.encode()) + write.dot.replica.encode()
    return [(own, add_to_share(write.view.parts.get(own), amount))] if amount else []


def _growth(write: FormerWrite) -> Number:
    """Return the growth of the share since its previous repeated write.

    If there is none, this is the growth since the last write that other members have.
    """
    share, before = write.payload, write.before
    if before is None:
        sent = totals(write.view.parts.get(write.part))
        increments, decrements = share.base_increments, share.base_decrements
        before = share_of(max(sent.increments, increments), max(sent.decrements, decrements), 0, 0)
    grown: Number = share.increments - before.increments - (share.decrements - before.decrements)
    return grown


def check_amount(amount: object) -> int:
    """Return `amount` if it is an integer from 0 to 2^63-1. Raises `InvalidArgument`."""
    if not isinstance(amount, int) or isinstance(amount, bool) or not 0 <= amount <= INT64_MAX:
        raise InvalidArgument("amount", f"{brief(amount)} is not an integer from 0 to {INT64_MAX}")
    return amount


# The codec of shares


def encode_share(payload: Share | ObservedReset) -> Any:
    """Return a share as a JSON value: `[5,0]`, with a base `[8,0,5,0]`, an observed reset `{"spent":[5,0]}`.

    A total beyond 64 bits is decimal text. A total that is a fraction, or has more than 40 digits, is hexadecimal text:
    an odd integer and a power of two, so 10.5 is `0x15p-1`.
    """
    if isinstance(payload, ObservedReset):
        return {"spent": [_encode_total(total) for total in payload]}
    shown = payload if payload[2] or payload[3] else payload[:2]
    return [_encode_total(total) for total in shown]


def share_json(payload: Share | ObservedReset) -> bytes:
    """Return the JSON of `encode_share`. That of a plain share is formatted here, as nothing is written more often."""
    if type(payload) is Share:
        increments, decrements, base_increments, base_decrements = payload
        if base_increments == base_decrements == 0 and increments <= INT64_MAX >= decrements:
            return b"[%d,%d]" % (increments, decrements)
    return orjson.dumps(encode_share(payload))


def decode_share(name: str, value: Any, *, floats: bool = False) -> Share | ObservedReset:
    """Return the share in a JSON value, in an object of type `name`. Raises `Malformed`.

    `floats` says whether totals may be ones that only INCRBYFLOAT leads to.
    """
    if isinstance(value, dict) and value.keys() == {"spent"}:
        return ObservedReset(*_decode_totals(name, value["spent"], (2,), floats))  # type: ignore[arg-type]
    totals_ = _decode_totals(name, value, (2, 4), floats)
    share = share_of(*totals_, *_NO_BASE[len(totals_) :])
    if share.increments < share.base_increments or share.decrements < share.base_decrements:
        raise Malformed("payload", f"{name}: {brief(value)} has spent more than it has")
    return share


def _decode_totals(name: str, value: Any, lengths: tuple[int, ...], floats: bool) -> list[Number]:
    if not isinstance(value, list) or len(value) not in lengths:
        raise Malformed("payload", f"{name}: {brief(value)} is no share")
    return [_decode_total(number, floats) for number in value]


def _encode_total(total: Number) -> int | str:
    if type(total) is int and total < _DECIMAL_BELOW:
        return total if total <= INT64_MAX else str(total)
    zeros = (total.numerator & -total.numerator).bit_length() - 1
    return f"0x{total.numerator >> zeros:x}p{zeros - total.denominator.bit_length() + 1}"


def _decode_total(value: Any, floats: bool) -> Number:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= INT64_MAX:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 40 and int(value) > INT64_MAX:
        return int(value)
    if floats and isinstance(value, str) and len(value) <= _TEXT_MAX and (found := _BINARY.fullmatch(value)):
        odd, power = int(found[1], 16), int(found[2])
        total = odd << power if power >= 0 else Fraction(odd, 1 << -power)
        if odd & 1 and total < _TOTAL_MAX and (power < 0 or total >= _DECIMAL_BELOW):
            return total
    raise Malformed("payload", f"{brief(value)} is no total")

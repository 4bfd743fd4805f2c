"""GCounter and PNCounter, with an exact observed reset.

One part per replica: its *share*, the running totals of what that replica has added and taken away. Only the replica
itself writes a share, so a write replaces the one before and the object never has more shares than replicas.

The puzzle is the delete. It must take away what it saw and nothing else, although a concurrent increment at the owner
has meanwhile replaced the very share that it saw. So a removal says what it saw (`ObservedReset`), as totals, which
only grow: beside a newer share of totals (p, n) it leaves p and n less the totals it names. The owner's next write
takes the spent totals over as the share's *base*, so churn of increments and deletes leaves one write per share.

    n1 adds 5          n1: (5, 0)                      value 5
    n2 deletes         n1: Spent(5, 0)                 value 0    } concurrent
    n1 adds 2          n1: (7, 0)                      value 7    }
    both               n1: (7, 0) beside Spent(5, 0)   value 2
    n1 adds 1          n1: (8, 0, base 5, 0)           value 3

Source: state-based counters of Shapiro et al. 2011, section 3.1; the observed reset is ours (compare Baquero, Almeida,
Lerche 2016, "The problem with embedded CRDT counters").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from crdt_core.errors import CounterOverflow, InvalidArgument, Malformed, brief
from crdt_core.lattice.clocks import check_replica_id
from crdt_core.lattice.siblings import ObservedReset, unfold
from crdt_core.types.contract import CrdtType, View, encode_text

if TYPE_CHECKING:
    from crdt_core.lattice.siblings import Payload, Siblings

__all__ = [
    "INT64_MAX",
    "INT64_MIN",
    "GCounterType",
    "PNCounterType",
    "Share",
    "add_to_share",
    "adjust",
    "plus",
    "raise_share",
    "share_json",
]

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)

_new = tuple.__new__  # a named tuple's own way costs twice as much, and a share is made for every increment


class Share(NamedTuple):
    """One replica's part in a counter: what it added and took away ever, less the base that removals have spent."""

    increments: int
    decrements: int
    base_increments: int = 0
    base_decrements: int = 0


class Totals(NamedTuple):
    """A part folded: totals so far, and how much of them is spent."""

    increments: int
    decrements: int
    base_increments: int
    base_decrements: int

    @property
    def net(self) -> int:
        return self.increments - self.base_increments - (self.decrements - self.base_decrements)


def totals(siblings: Siblings) -> Totals:
    """The share among `siblings`, with all that is spent as its base; `ObservedReset` alone is a share of nothing.

    >>> totals({1: Share(7, 0), 2: ObservedReset(5, 0)}).net
    2
    """
    payloads = list(unfold(siblings).values())
    spent = [(p.increments, p.decrements) for p in payloads if type(p) is ObservedReset]
    shares = [p for p in payloads if type(p) is Share]
    spent += [(p.base_increments, p.base_decrements) for p in shares]
    base_increments = max((increments for increments, _ in spent), default=0)
    base_decrements = max((decrements for _, decrements in spent), default=0)
    return Totals(
        max([base_increments, *(p.increments for p in shares)]),
        max([base_decrements, *(p.decrements for p in shares)]),
        base_increments,
        base_decrements,
    )


def net(siblings: Siblings) -> int:
    """What a share adds to the value."""
    if type(siblings) is tuple and type(siblings[1]) is Share:
        share = siblings[1]
        return share[0] - share[1] - share[2] + share[3]
    return totals(siblings).net


def adjust(view: View, replica: bytes, amount: int, key: bytes = b"") -> tuple[bytes, Share]:
    """The write that adds `amount` (negative: takes away) to the counter, at `replica`; raises `CounterOverflow`.

    `key` is only for the error. Not idempotent.
    """
    value = sum(net(siblings) for siblings in view.parts.values()) + amount
    if not INT64_MIN <= value <= INT64_MAX:
        raise CounterOverflow(str(encode_text(key)))
    return replica, add_to_share(view.parts.get(replica), amount)


def add_to_share(siblings: Siblings, amount: int) -> Share:
    """The share after its owner has added `amount` (negative: taken away) to it."""
    is_plain = type(siblings) is tuple and type(siblings[1]) is Share
    return plus(siblings[1] if is_plain else Share(*totals(siblings)), amount)  # type: ignore[index]


def plus(share: Share, amount: int) -> Share:
    """`share` with `amount` added (negative: taken away)."""
    increments, decrements, base_increments, base_decrements = share
    if amount >= 0:
        return _new(Share, (increments + amount, decrements, base_increments, base_decrements))
    return _new(Share, (increments, decrements - amount, base_increments, base_decrements))


def raise_share(view: View, part: bytes, total: int) -> Share | None:
    """The write that says that the share of `part` has come to `total` increments; `None` where that is known.

    For what is learned of a share by other ways than replication; shares are folded by their maximum, so that it
    never counts twice.
    """
    now = totals(view.parts.get(part))
    return Share(total, *now[1:]) if total > now.increments else None


class CounterType(CrdtType):
    """What both counters share; part: a replica id, payload: `Share`, or `ObservedReset` for a removal."""

    def value(self, view: View) -> int:
        """The sum over all shares. May leave the 64-bit range where concurrent writes together do."""
        return sum(net(siblings) for part, siblings in view.parts.items() if view.shows(part))

    def removal(self, view: View, part: bytes) -> Payload:
        now = totals(view.parts.get(part))
        return ObservedReset(now.increments, now.decrements)

    def owner(self, part: bytes) -> bytes | None:
        return part

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
        return decode_share(self.name, value)


class GCounterType(CounterType):
    """A counter that only grows (but may be deleted whole)."""

    name = "gcounter"

    def decode_payload(self, value: Any) -> Payload:
        payload = super().decode_payload(value)
        if payload.decrements:
            raise Malformed("payload", f"{self.name}: {brief(value)} has decrements")
        return payload


class PNCounterType(CounterType):
    """A counter that grows and shrinks."""

    name = "pncounter"


def encode_share(payload: Share | ObservedReset) -> Any:
    """`[5,0]`, with a base `[8,0,5,0]`, a removal `{"spent":[5,0]}`; beyond 64 bits, decimal text."""
    if isinstance(payload, ObservedReset):
        return {"spent": [_encode_total(total) for total in payload]}
    increments, decrements, base_increments, base_decrements = payload
    if increments > INT64_MAX or decrements > INT64_MAX:
        shown = payload if base_increments or base_decrements else payload[:2]
        return list(map(_encode_total, shown))
    if base_increments or base_decrements:
        return [increments, decrements, base_increments, base_decrements]
    return [increments, decrements]


def share_json(payload: Share | ObservedReset) -> bytes:
    """The JSON of `encode_share`; that of a plain share is written as often as anything."""
    if type(payload) is Share:
        increments, decrements, base_increments, base_decrements = payload
        if base_increments == base_decrements == 0 and increments <= INT64_MAX >= decrements:
            return b"[%d,%d]" % (increments, decrements)
    return orjson.dumps(encode_share(payload))


def decode_share(name: str, value: Any) -> Share | ObservedReset:
    """The inverse of `encode_share`, in an object of type `name`; raises `Malformed`."""
    if isinstance(value, dict) and value.keys() == {"spent"}:
        return ObservedReset(*_decode_totals(name, value["spent"], (2,)))
    share = Share(*_decode_totals(name, value, (2, 4)))
    if share.increments < share.base_increments or share.decrements < share.base_decrements:
        raise Malformed("payload", f"{name}: {brief(value)} has spent more than it has")
    return share


def check_amount(amount: object) -> int:
    """`amount` itself if it is an integer from 0 to 2^63-1; raises `InvalidArgument`."""
    if not isinstance(amount, int) or isinstance(amount, bool) or not 0 <= amount <= INT64_MAX:
        raise InvalidArgument("amount", f"{brief(amount)} is not an integer from 0 to {INT64_MAX}")
    return amount


def _decode_totals(name: str, value: Any, lengths: tuple[int, ...]) -> list[int]:
    if not isinstance(value, list) or len(value) not in lengths:
        raise Malformed("payload", f"{name}: {brief(value)} is no share")
    return [_decode_total(number) for number in value]


def _encode_total(total: int) -> int | str:
    return total if total <= INT64_MAX else str(total)


def _decode_total(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= INT64_MAX:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 40 and int(value) > INT64_MAX:
        return int(value)
    raise Malformed("payload", f"{brief(value)} is no total")

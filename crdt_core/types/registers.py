"""LWWRegister and MVRegister: one slot that is written whole.

Both keep every concurrent write as a sibling (Shapiro et al. 2011, section 3.2). The last-writer-wins register shows
the write with the largest (milliseconds, logical, replica id). That is a total order, so every replica breaks ties in
the same way. The multi-value register shows all concurrent values; a command that can show only one shows the newest. A
write that has seen another has replaced it, whatever the wall clocks say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from crdt_core.errors import InvalidArgument, Malformed, brief
from crdt_core.lattice.clocks import Stamp
from crdt_core.lattice.siblings import all_covered, shows, unfold
from crdt_core.types.contract import SLOT, CrdtType, Shape
from crdt_core.types.text import decode_text, encode_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import Dot
    from crdt_core.lattice.replica_index import PackedDot, ReplicaIndex
    from crdt_core.lattice.siblings import Payload, Siblings
    from crdt_core.types.contract import FormerWrite, LiveWrite, PartWrite, View

__all__ = [
    "LWWREGISTER",
    "MVREGISTER",
    "LWWRegisterType",
    "MVRegisterType",
    "RegisterType",
    "Stamped",
    "decode_stamped",
    "encode_stamped",
    "explain_stamped",
    "latest",
    "overwrite",
    "repeat_stamped",
    "set_at",
    "set_now",
    "stamped_json",
]

_INT64 = range(-(2**63), 2**63)


_new = tuple.__new__  # a named tuple's own way costs twice as much, and a write is made for every SET


class Stamped(NamedTuple):
    """The payload of a value that is written whole: the value, and the hybrid time of the write."""

    value: bytes
    ms: int
    logical: int = 0


class RegisterType(CrdtType):
    """What both registers share. The part is the slot; a payload is `Stamped`."""

    redis_type = "string"
    event_class = "$"
    family = "string"

    def winner(self, view: View) -> Stamped | None:
        """Return the write that shows alone, or that stands for all; `None` if there is none."""
        newest = latest(view.parts.get(SLOT), view.replica_index)
        return newest[1] if newest else None

    def winning_dot(self, view: View) -> Dot | None:
        newest = latest(view.parts.get(SLOT), view.replica_index)
        return view.replica_index.unpack(newest[0]) if newest else None

    def text(self, parts: Mapping[bytes, Siblings], replica_index: ReplicaIndex) -> bytes:
        newest = latest(parts.get(SLOT), replica_index)
        return newest[1].value if newest else b""

    def contents(self, view: View) -> bytes:
        return self.text(view.parts, view.replica_index)

    def rewrite(self, view: View, contents: bytes, now: Stamp) -> list[PartWrite]:
        return [set_now(view, contents, now)]

    def encode_payload(self, payload: Payload) -> Any:
        return encode_stamped(payload)

    def decode_payload(self, value: Any) -> Payload:
        return decode_stamped(self.name, value)


class LWWRegisterType(RegisterType):
    """A register where the last writer wins. A payload is stored as `["value",ms,logical]`."""

    name = "lwwregister"
    plain = False

    def value(self, view: View) -> bytes | None:
        """Return the winning value, `None` if there is none."""
        winner = self.winner(view)
        return winner.value if winner else None

    def explain(self, write: LiveWrite) -> str:
        return explain_stamped(write)

    def repeat(self, write: FormerWrite) -> list[PartWrite]:
        return repeat_stamped(write) if type(write.payload) is Stamped else super().repeat(write)


class MVRegisterType(RegisterType):
    """A register that keeps all concurrent values. A payload is stored as `["value",ms,logical]`.

    A value that was written without a time, as stamp 0, is stored alone: `"value"`.
    """

    name = "mvregister"
    shape = Shape.ALTERNATIVES

    def value(self, view: View) -> list[bytes]:
        """Return the distinct concurrent values, in the order of their dots."""
        return list(dict.fromkeys(payload.value for _, payload in view.live(SLOT)))

    def newest_first(self, view: View) -> list[bytes]:
        """Return the distinct concurrent values, the one with the largest (stamp, dot) first."""
        by_age = sorted(view.live(SLOT), key=lambda write: (*write[1][1:], write[0]), reverse=True)
        return list(dict.fromkeys(payload.value for _, payload in by_age))

    def encode_payload(self, payload: Payload) -> Any:
        return encode_stamped(payload) if payload[1:] != (0, 0) else encode_text(payload.value)

    def decode_payload(self, value: Any) -> Payload:
        return super().decode_payload(value) if isinstance(value, list) else Stamped(decode_text(value), 0)

    def explain(self, write: LiveWrite) -> str:
        return explain_stamped(write, otherwise="stands beside")

    def events(self, part: bytes, before: Siblings, now: Siblings) -> list[bytes]:  # noqa: ARG002
        return [b"set"] if shows(now) else []


LWWREGISTER = LWWRegisterType()
MVREGISTER = MVRegisterType()


# One slot


def latest(slot: Siblings, replica_index: ReplicaIndex) -> tuple[PackedDot, Stamped] | None:
    """Return the write of a slot with the largest (stamp, dot), with its dot; `None` if nothing is written there."""
    if type(slot) is tuple:
        return slot if type(slot[1]) is Stamped else None
    written = [(dot, payload) for dot, payload in unfold(slot).items() if type(payload) is Stamped]
    return max(written, key=lambda w: (w[1].ms, w[1].logical, replica_index.unpack(w[0])), default=None)


def overwrite(slot: Siblings, value: bytes, now: Stamp, replica_index: ReplicaIndex) -> Stamped:
    """Return the write of `value` to a slot at hybrid time `now`, or just after what is seen there if that is later.

    So the write also wins over a third one that the seen write has won over. A slot that was stamped far in the future
    stays writable, and does not drag the hybrid clock along.
    """
    seen = latest(slot, replica_index)
    if seen is None or seen[1][1:] < now:
        ms, logical = now
        return _new(Stamped, (value, ms, logical))
    return Stamped(value, *Stamp(seen[1].ms, seen[1].logical).successor())


def set_now(view: View, value: bytes, now: Stamp) -> tuple[bytes, Stamped]:
    """Return the write of `value` to a register at hybrid time `now`, as `overwrite` stamps it."""
    return SLOT, overwrite(view.parts.get(SLOT), value, now, view.replica_index)


def set_at(view: View, value: bytes, timestamp: int) -> tuple[bytes, Stamped] | None:
    """Return the write of `value` at `timestamp`, in ms; `None` if what shows is newer. Zero and below are allowed."""
    if type(timestamp) is not int or timestamp not in _INT64:
        raise InvalidArgument("timestamp", f"{brief(timestamp)} is not a 64-bit integer")
    seen = LWWREGISTER.winner(view)
    if seen is not None and (timestamp, 0) < (seen.ms, seen.logical):
        return None
    return SLOT, Stamped(value, timestamp)


def explain_stamped(write: LiveWrite, otherwise: str = "loses to") -> str:
    """Return what becomes of a `Stamped` write beside its siblings. `otherwise` says what it does unless it wins."""
    siblings, replica_index = write.view.parts.get(write.part), write.view.replica_index
    if len(unfold(siblings)) == 1:
        return "shows"
    newest = latest(siblings, replica_index)
    winner = replica_index.unpack(newest[0]) if newest else write.dot
    return "wins: it is the latest" if winner == write.dot else f"{otherwise} {winner}, which is concurrent and later"


def repeat_stamped(write: FormerWrite) -> list[PartWrite]:
    """Return the write that repeats a `Stamped` one of a former id; none if it has not seen a newer write."""
    held = write.view.parts.get(write.part)
    newest = latest(held, write.view.replica_index)
    again = newest is None or all_covered(held, write.seen) or write.payload[1:] > newest[1][1:]
    return [(write.part, write.payload)] if again else []


def encode_stamped(payload: Stamped) -> list[Any]:
    """Return a write as a JSON value: `["value",ms,logical]`."""
    return [encode_text(payload.value), payload.ms, payload.logical]


def stamped_json(payload: Stamped) -> bytes:
    """Return the canonical JSON of `encode_stamped`: of a text that is UTF-8, orjson only encodes the text itself."""
    value, ms, logical = payload
    try:
        return b"[%b,%d,%d]" % (orjson.dumps(value.decode()), ms, logical)
    except UnicodeDecodeError:
        return orjson.dumps(encode_stamped(payload))


def decode_stamped(name: str, value: Any) -> Stamped:
    """Return the write in a JSON value, in an object of type `name`. Raises `Malformed`."""
    if not isinstance(value, list) or len(value) != 3 or any(type(number) is not int for number in value[1:]):
        raise Malformed("payload", f"{name}: {brief(value)} is not [value, ms, logical]")
    if value[1] not in _INT64 or value[2] not in _INT64 or value[2] < 0:
        raise Malformed("payload", f"{name}: a stamp outside 64 bits")
    return Stamped(decode_text(value[0]), value[1], value[2])

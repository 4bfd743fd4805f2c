"""LWWRegister, MVRegister, EWFlag and DWFlag: objects of one slot.

Both registers keep every concurrent write as a sibling (Shapiro et al. 2011, section 3.2). The multi-value register
shows all of them; who can only show one, shows the newest. The last-writer-wins register shows the one with the largest
(milliseconds, logical, replica id): a total order, so that ties resolve alike everywhere. A write that has seen another
has replaced it, whatever the clocks say. The flags are a slot that is written to enable; to disable is to remove, where
a concurrent enable wins, or to deny, where a concurrent disable does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_core.errors import InvalidArgument, Malformed, brief
from crdt_core.lattice.clocks import Dot, Stamp
from crdt_core.types.contract import SLOT, CrdtType, View, decode_grant, decode_text, encode_text

if TYPE_CHECKING:
    from crdt_core.lattice.siblings import Payload

__all__ = [
    "DWFlagType",
    "EWFlagType",
    "LWWRegisterType",
    "MVRegisterType",
    "Stamped",
    "newest_first",
    "set_at",
    "set_now",
]

_INT64 = range(-(2**63), 2**63)


class Stamped(NamedTuple):
    """The payload of a register's write."""

    value: bytes
    ms: int
    logical: int = 0


class LWWRegisterType(CrdtType):
    """A register where the last writer wins; payload: `Stamped`, persisted as `["value", ms, logical]`."""

    name = "lwwregister"

    def winner(self, view: View) -> Stamped | None:
        """The write that shows, `None` where there is none."""
        latest = _latest(view)
        return latest[1] if latest else None

    def winning_dot(self, view: View) -> Dot | None:
        latest = _latest(view)
        return Dot(*latest[0]) if latest else None

    def value(self, view: View) -> bytes | None:
        """The winning value, `None` where there is none."""
        winner = self.winner(view)
        return winner.value if winner else None

    def encode_payload(self, payload: Payload) -> Any:
        return [encode_text(payload.value), payload.ms, payload.logical]

    def decode_payload(self, value: Any) -> Payload:
        return decode_stamped(self.name, value)


def _latest(view: View) -> tuple[tuple[str, int], Stamped] | None:
    return max(view.live(SLOT), key=_age, default=None)


def _age(sibling: tuple[tuple[str, int], Stamped]) -> tuple[int, int, str, int]:
    return sibling[1].ms, sibling[1].logical, *sibling[0]


class MVRegisterType(CrdtType):
    """A register that keeps all concurrent values; payload: `Stamped`, persisted as `["value", ms, logical]`.

    What was written without a time, as stamp 0, is persisted as the value alone.
    """

    name = "mvregister"

    def value(self, view: View) -> list[bytes]:
        """The distinct concurrent values, in the order of their dots."""
        return list(dict.fromkeys(payload.value for _, payload in view.live(SLOT)))

    def winning_dot(self, view: View) -> Dot | None:
        """The newest write: it stands for all where only one can show."""
        newest = _latest(view)
        return Dot(*newest[0]) if newest else None

    def encode_payload(self, payload: Payload) -> Any:
        text = encode_text(payload.value)
        return [text, payload.ms, payload.logical] if payload[1:] != (0, 0) else text

    def decode_payload(self, value: Any) -> Payload:
        return decode_stamped(self.name, value) if isinstance(value, list) else Stamped(decode_text(value), 0)


def newest_first(view: View) -> list[bytes]:
    """The distinct concurrent values of a register, the one with the largest (stamp, dot) first."""
    return list(dict.fromkeys(payload.value for _, payload in sorted(view.live(SLOT), key=_age, reverse=True)))


class EWFlagType(CrdtType):
    """A flag where a concurrent enable wins over a disable."""

    name = "ewflag"

    def value(self, view: View) -> bool:
        """Whether it is enabled."""
        return view.shows(SLOT)


class DWFlagType(CrdtType):
    """A flag where a concurrent disable wins over an enable; payload: `True`, or `WINNING_TOMBSTONE` of a disable."""

    name = "dwflag"

    def value(self, view: View) -> bool:
        """Whether it is enabled."""
        return view.shows(SLOT)

    def decode_payload(self, value: Any) -> Payload:
        return decode_grant(self.name, value)


_LWW = LWWRegisterType()


def decode_stamped(name: str, value: Any) -> Stamped:
    """The LWW write in a JSON value, in an object of type `name`; raises `Malformed`."""
    if not isinstance(value, list) or len(value) != 3 or any(type(number) is not int for number in value[1:]):
        raise Malformed("payload", f"{name}: {brief(value)} is not [value, ms, logical]")
    if value[1] not in _INT64 or value[2] not in _INT64 or value[2] < 0:
        raise Malformed("payload", f"{name}: a stamp outside 64 bits")
    return Stamped(decode_text(value[0]), value[1], value[2])


def set_now(view: View, value: bytes, now: Stamp) -> tuple[bytes, Stamped]:
    """The write of `value` to a register at hybrid time `now`, or just after what it has seen where that is later.

    So it also wins over a third write that what it has seen has won over, and a register stamped far in the future
    stays writable without dragging the clock along.
    """
    seen = _LWW.winner(view)
    stamp = now if seen is None else max(now, Stamp(seen.ms, seen.logical).successor())
    return SLOT, Stamped(value, *stamp)


def set_at(view: View, value: bytes, timestamp: int) -> tuple[bytes, Stamped] | None:
    """The LWW write of `value` at `timestamp`, zero and below included; `None` where what shows is newer."""
    if type(timestamp) is not int or timestamp not in _INT64:
        raise InvalidArgument("timestamp", f"{brief(timestamp)} is not a 64-bit integer")
    seen = _LWW.winner(view)
    if seen is not None and (timestamp, 0) < (seen.ms, seen.logical):
        return None
    return SLOT, Stamped(value, timestamp)

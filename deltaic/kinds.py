"""The kinds of objects, and the operations that each has: what is common to the blocking and the asyncio objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crdt_core.errors import brief
from deltaic.errors import InvalidArgument
from deltaic.operations import Operation, as_bytes, as_text

__all__ = ["CounterKind", "FlagKind", "Kind", "MultiValueKind", "RegisterKind", "SetKind"]


@dataclass(frozen=True, slots=True)
class Kind:
    """The object under `key`. `idempotent`: its writes may be repeated."""

    key: str
    idempotent: bool = False

    def delete(self) -> Operation[bool]:
        """Remove what the node has seen; whether there was anything."""
        return Operation((b"DEL", self._key), bool, True, self.idempotent)

    @property
    def _key(self) -> bytes:
        return _text("key", self.key)


@dataclass(frozen=True, slots=True)
class CounterKind(Kind):
    """A counter. Its increments are never idempotent."""

    def value(self) -> Operation[int]:
        """Read the value, 0 where there is none."""
        return Operation((b"GET", self._key), self._integer, False)

    def add(self, amount: int) -> Operation[int]:
        """Add `amount`, which may be negative; the new value."""
        if type(amount) is not int:
            raise InvalidArgument("amount", f"{brief(amount)} is no integer")
        return Operation((b"INCRBY", self._key, b"%d" % amount), int, True)

    def _integer(self, reply: bytes | None) -> int:
        try:
            return int(reply or 0)
        except ValueError:
            raise InvalidArgument("key", f"{brief(self.key)} holds {brief(reply)}, which is no counter") from None


@dataclass(frozen=True, slots=True)
class SetKind(Kind):
    """A set of strings. `remove_wins`: over concurrent adds."""

    remove_wins: bool = False

    def add(self, members: tuple[str, ...]) -> Operation[int]:
        """Add `members`; how many of them were not there."""
        return self._write(b"DELTAIC.RWSADD" if self.remove_wins else b"SADD", members)

    def remove(self, members: tuple[str, ...]) -> Operation[int]:
        """Remove `members`; how many of them were there."""
        return self._write(b"DELTAIC.RWSREM" if self.remove_wins else b"SREM", members)

    def contains(self, member: str) -> Operation[bool]:
        """Ask whether `member` is there."""
        return Operation((b"SISMEMBER", self._key, _text("member", member)), bool, False)

    def members(self) -> Operation[set[str]]:
        """Read all members."""
        return Operation((b"SMEMBERS", self._key), lambda reply: {as_text(member) for member in reply}, False)

    def size(self) -> Operation[int]:
        """Ask how many members there are."""
        return Operation((b"SCARD", self._key), int, False)

    def _write(self, command: bytes, members: tuple[str, ...]) -> Operation[int]:
        if not members:
            raise InvalidArgument("members", "there are none")
        encoded = tuple(_text("member", member) for member in members)
        return Operation((command, self._key, *encoded), int, True, self.idempotent)


@dataclass(frozen=True, slots=True)
class RegisterKind(Kind):
    """A string of which the latest write shows."""

    def get(self) -> Operation[str | None]:
        """Read the value, `None` where there is none."""
        return Operation((b"GET", self._key), lambda reply: None if reply is None else as_text(reply), False)

    def set(self, value: str) -> Operation[None]:
        """Write `value`."""
        return Operation((b"SET", self._key, _text("value", value)), _nothing, True, self.idempotent)


@dataclass(frozen=True, slots=True)
class MultiValueKind(Kind):
    """A string of which all concurrent values show."""

    def values(self) -> Operation[list[str]]:
        """Read the values, the newest first."""
        return Operation((b"DELTAIC.MVGET", self._key), lambda reply: [as_text(value) for value in reply], False)

    def set(self, value: str) -> Operation[None]:
        """Write `value` in place of all that the node has seen."""
        return Operation((b"DELTAIC.MVSET", self._key, _text("value", value)), _nothing, True, self.idempotent)


@dataclass(frozen=True, slots=True)
class FlagKind(Kind):
    """A flag. `disable_wins`: over concurrent enables."""

    disable_wins: bool = False

    def enable(self) -> Operation[bool]:
        """Enable it; whether it was disabled."""
        return self._switch(b"DELTAIC.DWENABLE" if self.disable_wins else b"DELTAIC.EWENABLE")

    def disable(self) -> Operation[bool]:
        """Disable it; whether it was enabled."""
        return self._switch(b"DELTAIC.DWDISABLE" if self.disable_wins else b"DELTAIC.EWDISABLE")

    def is_enabled(self) -> Operation[bool]:
        """Ask whether it is enabled."""
        return Operation((b"DELTAIC.ENABLED", self._key), bool, False)

    def _switch(self, command: bytes) -> Operation[bool]:
        return Operation((command, self._key), bool, True, self.idempotent)


def _text(field: str, value: str) -> bytes:
    if not isinstance(value, str):
        raise InvalidArgument(field, f"{brief(value)} is no string")
    return as_bytes(field, value)


def _nothing(_reply: Any) -> None:
    return None

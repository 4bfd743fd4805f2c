# Made from async_objects.py: change that file, and run `make blocking`.
"""The objects of a fleet, as a blocking client sees them.

An object is a key and a session; making one asks nobody. Values are those of the node where the session is. Every
method may raise `NoNodeAnswers` and `NodesBehind`, and `Refused` where the key holds an object of another type. A
method that writes may raise `OutcomeUnknown`. An object that was made with `idempotent=True` does not: the client
repeats its writes at another node instead. That is right where doing them twice does no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from deltaic.kinds import CounterKind, FlagKind, Kind, MultiValueKind, RegisterKind, SetKind

if TYPE_CHECKING:
    from deltaic.operations import Operation

__all__ = ["Counter", "Flag", "MultiValueRegister", "Register", "Runs", "Set"]

T = TypeVar("T")
K = TypeVar("K", bound=Kind)


class Runs(Protocol):
    """What carries out operations: a session."""

    def run(self, operation: Operation[T]) -> T:
        """Return the result of `operation`."""


class _Object(Generic[K]):
    def __init__(self, session: Runs, kind: K) -> None:
        self._session = session
        self._kind = kind

    @property
    def key(self) -> str:
        """The key."""
        return self._kind.key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key!r}>"

    def delete(self) -> bool:
        """Remove what the node has seen under the key; return whether there was anything. Concurrent writes survive."""
        return self._session.run(self._kind.delete())


class Counter(_Object[CounterKind]):
    """A counter. Concurrent increments add up. The client never repeats one: doing it twice would count twice."""

    def value(self) -> int:
        """Return the value; 0 where nothing was counted yet. Raises `InvalidArgument` where the key holds a word."""
        return self._session.run(self._kind.value())

    def increment(self, amount: int = 1) -> int:
        """Add `amount`; return the new value. Raises `Refused` where that would leave 64 bits."""
        return self._session.run(self._kind.add(amount))

    def decrement(self, amount: int = 1) -> int:
        """Take `amount` away; return the new value. Raises `Refused` where that would leave 64 bits."""
        return self._session.run(self._kind.add(-amount))


class Set(_Object[SetKind]):
    """A set of strings. A concurrent add wins over a remove; in a remove-wins set, the remove wins."""

    def add(self, *members: str) -> int:
        """Add `members`; return how many of them were not there."""
        return self._session.run(self._kind.add(members))

    def remove(self, *members: str) -> int:
        """Remove `members`; return how many of them were there."""
        return self._session.run(self._kind.remove(members))

    def contains(self, member: str) -> bool:
        """Return whether `member` is in the set."""
        return self._session.run(self._kind.contains(member))

    def members(self) -> set[str]:
        """Return all members."""
        return self._session.run(self._kind.members())

    def size(self) -> int:
        """Return how many members there are."""
        return self._session.run(self._kind.size())


class Register(_Object[RegisterKind]):
    """A string. Of concurrent writes, the latest one shows."""

    def get(self) -> str | None:
        """Return the value; `None` where there is none."""
        return self._session.run(self._kind.get())

    def set(self, value: str) -> None:
        """Write `value`."""
        self._session.run(self._kind.set(value))


class MultiValueRegister(_Object[MultiValueKind]):
    """A string that keeps all values that were written concurrently."""

    def values(self) -> list[str]:
        """Return the values that stand side by side, the newest first; none where nothing was written."""
        return self._session.run(self._kind.values())

    def set(self, value: str) -> None:
        """Write `value` in place of all values that the node has seen."""
        self._session.run(self._kind.set(value))


class Flag(_Object[FlagKind]):
    """A flag. A concurrent enable wins over a disable; in a disable-wins flag, the disable wins."""

    def enable(self) -> bool:
        """Enable the flag; return whether it was disabled."""
        return self._session.run(self._kind.enable())

    def disable(self) -> bool:
        """Disable the flag; return whether it was enabled."""
        return self._session.run(self._kind.disable())

    def is_enabled(self) -> bool:
        """Return whether the flag is enabled."""
        return self._session.run(self._kind.is_enabled())

"""The objects of a fleet, as an asyncio client sees them.

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

__all__ = ["AsyncCounter", "AsyncFlag", "AsyncMultiValueRegister", "AsyncRegister", "AsyncRuns", "AsyncSet"]

T = TypeVar("T")
K = TypeVar("K", bound=Kind)


class AsyncRuns(Protocol):
    """What carries out operations: a session."""

    async def run(self, operation: Operation[T]) -> T:
        """Return the result of `operation`."""


class _Object(Generic[K]):
    def __init__(self, session: AsyncRuns, kind: K) -> None:
        self._session = session
        self._kind = kind

    @property
    def key(self) -> str:
        """The key."""
        return self._kind.key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key!r}>"

    async def delete(self) -> bool:
        """Remove what the node has seen under the key; return whether there was anything. Concurrent writes survive."""
        return await self._session.run(self._kind.delete())


class AsyncCounter(_Object[CounterKind]):
    """A counter. Concurrent increments add up. The client never repeats one: doing it twice would count twice."""

    async def value(self) -> int:
        """Return the value; 0 where nothing was counted yet. Raises `InvalidArgument` where the key holds a word."""
        return await self._session.run(self._kind.value())

    async def increment(self, amount: int = 1) -> int:
        """Add `amount`; return the new value. Raises `Refused` where that would leave 64 bits."""
        return await self._session.run(self._kind.add(amount))

    async def decrement(self, amount: int = 1) -> int:
        """Take `amount` away; return the new value. Raises `Refused` where that would leave 64 bits."""
        return await self._session.run(self._kind.add(-amount))


class AsyncSet(_Object[SetKind]):
    """A set of strings. A concurrent add wins over a remove; in a remove-wins set, the remove wins."""

    async def add(self, *members: str) -> int:
        """Add `members`; return how many of them were not there."""
        return await self._session.run(self._kind.add(members))

    async def remove(self, *members: str) -> int:
        """Remove `members`; return how many of them were there."""
        return await self._session.run(self._kind.remove(members))

    async def contains(self, member: str) -> bool:
        """Return whether `member` is in the set."""
        return await self._session.run(self._kind.contains(member))

    async def members(self) -> set[str]:
        """Return all members."""
        return await self._session.run(self._kind.members())

    async def size(self) -> int:
        """Return how many members there are."""
        return await self._session.run(self._kind.size())


class AsyncRegister(_Object[RegisterKind]):
    """A string. Of concurrent writes, the latest one shows."""

    async def get(self) -> str | None:
        """Return the value; `None` where there is none."""
        return await self._session.run(self._kind.get())

    async def set(self, value: str) -> None:
        """Write `value`."""
        await self._session.run(self._kind.set(value))


class AsyncMultiValueRegister(_Object[MultiValueKind]):
    """A string that keeps all values that were written concurrently."""

    async def values(self) -> list[str]:
        """Return the values that stand side by side, the newest first; none where nothing was written."""
        return await self._session.run(self._kind.values())

    async def set(self, value: str) -> None:
        """Write `value` in place of all values that the node has seen."""
        await self._session.run(self._kind.set(value))


class AsyncFlag(_Object[FlagKind]):
    """A flag. A concurrent enable wins over a disable; in a disable-wins flag, the disable wins."""

    async def enable(self) -> bool:
        """Enable the flag; return whether it was disabled."""
        return await self._session.run(self._kind.enable())

    async def disable(self) -> bool:
        """Disable the flag; return whether it was enabled."""
        return await self._session.run(self._kind.disable())

    async def is_enabled(self) -> bool:
        """Return whether the flag is enabled."""
        return await self._session.run(self._kind.is_enabled())

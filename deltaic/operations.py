"""One operation of the client: the command, how its reply is read, and whether it may be repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from crdt_core.errors import brief
from deltaic.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Argument", "Operation", "as_bytes", "as_text", "plain"]

T = TypeVar("T")

Argument = str | bytes | int | float

_SHOWN_MAX = 80


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One command. `decode` turns its reply, as version 2 of the Redis protocol has it, into the result.

    A read may be repeated at another node. An operation that `writes` may not, unless it is `idempotent`: then doing it
    twice does no harm.
    """

    command: tuple[bytes, ...]
    decode: Callable[[Any], T]
    writes: bool
    idempotent: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether the client may send it to another node when it does not know what became of it."""
        return self.idempotent or not self.writes

    @property
    def name(self) -> str:
        """The command with its first argument, for messages.

        >>> Operation((b"SADD", b"fruit", b"apple"), int, writes=True).name
        'SADD fruit'
        """
        shown = as_text(b" ".join(self.command[:2])).encode("utf-8", "backslashreplace").decode()
        return shown if len(shown) <= _SHOWN_MAX else f"{shown[:_SHOWN_MAX]}..."


def plain(command: tuple[Argument, ...], *, writes: bool, idempotent: bool = False) -> Operation[Any]:
    """Return any command, with its reply as it comes. Raises `InvalidArgument` where an argument is of another type."""
    if not command:
        raise InvalidArgument("command", "it is empty")
    return Operation(tuple(as_bytes("argument", argument) for argument in command), _as_it_is, writes, idempotent)


def as_bytes(field: str, value: Argument) -> bytes:
    """Return `value` as it is sent. Lone surrogates stand for bytes that are no UTF-8, as with `os.fsencode`.

    Raises `InvalidArgument`, which names `field`.
    """
    if isinstance(value, bytes):
        return value
    if type(value) in {int, float}:
        return repr(value).encode()
    if not isinstance(value, str):
        raise InvalidArgument(field, f"{brief(value)} is neither text nor bytes nor a number")
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidArgument(field, f"{brief(value)} is no text ({error.reason})") from None


def as_text(reply: bytes) -> str:
    """Return what a node replied as text: the inverse of `as_bytes`."""
    return reply.decode("utf-8", "surrogateescape")


def _as_it_is(reply: Any) -> Any:
    return reply

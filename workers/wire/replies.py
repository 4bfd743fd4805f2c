"""Reading what Redis answers on a raw connection: refusals become errors, and what cannot be read names its place."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import hiredis

from crdt_core.errors import CorruptState, Malformed, StoreUnavailable, brief

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.wire.connection import RedisCommand, Wire

__all__ = ["corrupt", "number", "ok", "pairs", "reading", "run_id", "text"]

_DIGITS_MAX = 18


async def ok(wire: Wire, commands: list[RedisCommand]) -> list[Any]:
    """The replies to `commands`, none of them an error.

    Where one is, the connection is closed: raises `CorruptState` for a key that holds another kind of value, and
    `StoreUnavailable` for any other refusal.
    """
    replies = await wire.send(commands)
    for command, reply in zip(commands, replies, strict=True):
        if isinstance(reply, hiredis.ReplyError):
            wire.close()
            if str(reply).startswith("WRONGTYPE"):  # to wait makes nothing else of it
                raise CorruptState(text(command[1]), "it holds another kind of value than it should")
            raise StoreUnavailable(f"Redis refuses: {reply}")
    return replies


@contextmanager
def reading(key: str | bytes, field: bytes | None = None) -> Iterator[None]:
    """Says of what is `Malformed` in the block where in Redis it stands, as `CorruptState`."""
    try:
        yield
    except Malformed as error:
        raise corrupt(key, field, error) from error


def corrupt(key: str | bytes, field: bytes | None, error: Malformed) -> CorruptState:
    """What is `Malformed`, with its place in Redis."""
    return CorruptState(text(key) if field is None else f"{text(key)} field {brief(field)}", str(error))


def number(digits: bytes) -> int:
    """The turn number in a header; raises `Malformed`."""
    if not digits.isdigit() or len(digits) > _DIGITS_MAX:
        raise Malformed("header", f"turn {brief(digits)} is no number")
    return int(digits)


def pairs(flat: list[bytes]) -> zip[tuple[bytes, bytes]]:
    """The fields of a hash, each with its value."""
    return zip(flat[::2], flat[1::2], strict=True)


def run_id(info: bytes) -> bytes:
    """The id of the server's process in the answer to `INFO server`."""
    lines = (line.partition(b":") for line in bytes(info).splitlines())
    return next((value for name, _, value in lines if name == b"run_id"), b"")


def text(value: Any) -> str:
    """`value` to be shown, whatever its bytes are."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)

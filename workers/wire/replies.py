"""Checks and parses replies of a raw connection. A refusal becomes an error, and unreadable data names its place."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import hiredis

from crdt_core.errors import CorruptState, Malformed, StoreUnavailable, brief

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.wire.connection import RedisCommand, Wire

__all__ = [
    "corrupt_state",
    "locating_malformed",
    "pairs",
    "run_id_in",
    "send_checked",
    "stored_turn",
    "text",
    "turn_in",
]

_DIGITS_MAX = 18


async def send_checked(wire: Wire, commands: list[RedisCommand]) -> list[Any]:
    """Send `commands` and return their replies, none of which is an error.

    Where one is an error, the connection is closed. Raises `CorruptState` for a key that holds another kind of value,
    and `StoreUnavailable` for any other refusal.
    """
    replies = await wire.send(commands)
    for command, reply in zip(commands, replies, strict=True):
        if isinstance(reply, hiredis.ReplyError):
            wire.close()
            if str(reply).startswith("WRONGTYPE"):  # A later attempt would find the same value.
                raise CorruptState(text(command[1]), "it holds another kind of value than it should")
            raise StoreUnavailable(f"Redis refuses: {reply}")
    return replies


@contextmanager
def locating_malformed(key: str | bytes, field: bytes | None = None) -> Iterator[None]:
    """Turn a `Malformed` raised in the block into a `CorruptState` that names the key, and the field, in Redis."""
    try:
        yield
    except Malformed as error:
        raise corrupt_state(key, field, error) from error


def corrupt_state(key: str | bytes, field: bytes | None, error: Malformed) -> CorruptState:
    """Return the error for malformed data at `key`, and in its `field` if that is not `None`."""
    return CorruptState(text(key) if field is None else f"{text(key)} field {brief(field)}", str(error))


def turn_in(digits: bytes) -> int:
    """Return the number in the header's field `turn`; raises `Malformed`."""
    if not digits.isdigit() or len(digits) > _DIGITS_MAX:
        raise Malformed("header", f"turn {brief(digits)} is no number")
    return int(digits)


def stored_turn(header: str, digits: bytes | None) -> int:
    """Return the turn in the hash at `header`, whose field `turn` is `digits`; 0 for none. Raises `CorruptState`."""
    with locating_malformed(header):
        return turn_in(digits or b"0")


def pairs(flat: list[bytes]) -> zip[tuple[bytes, bytes]]:
    """Return the (field, value) pairs of a hash, whose reply has fields and values by turns."""
    return zip(flat[::2], flat[1::2], strict=True)


def run_id_in(info: bytes) -> bytes:
    """Return the run id of the server process in the reply to `INFO server`; empty where there is none."""
    lines = (line.partition(b":") for line in bytes(info).splitlines())
    return next((value for name, _, value in lines if name == b"run_id"), b"")


def text(value: Any) -> str:
    """Return `value` as text for people; bytes that are not UTF-8 are escaped."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)

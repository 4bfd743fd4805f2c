"""What clients are told when a command is refused: one line, whose first word says whether to try again.

`TRYAGAIN`, `OOM`, `LOADING`, `READONLY`: nothing was changed, and the same command may succeed later. Clients repeat
commands by themselves on such words; so a write that may still take effect is none of these, but an `ERR`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands import ErrorReply
from crdt_core.errors import DeltaicError, Overloaded, StoreUnavailable, TooLarge

if TYPE_CHECKING:
    from crdt_core.commands import Command
    from workers.config.settings import LimitSettings

__all__ = ["NO_AUTH", "refusal", "too_large", "wrong_number"]

NO_AUTH = ErrorReply("NOAUTH Authentication required.")

_REASONS = ("OOM", "LOADING", "READONLY")


def refusal(error: Exception) -> ErrorReply:
    """The line for an error of the tree."""
    match error:
        case Overloaded():
            return ErrorReply(f"TRYAGAIN {error}")
        case StoreUnavailable(unchanged=True):
            word = next((word for word in _REASONS if word in str(error)), "TRYAGAIN")
            return ErrorReply(f"{word} {error}")
        case DeltaicError():
            return ErrorReply(error.resp_line)
    raise error


def wrong_number(name: bytes) -> ErrorReply:
    """The line for too few or too many arguments."""
    return ErrorReply(f"ERR wrong number of arguments for '{name.decode().lower()}' command")


def too_large(command: Command, request: list[bytes], limits: LimitSettings) -> ErrorReply | None:
    """The line for a key or value over its limit, if one is."""
    first, last, step = command.keys
    keys = range(first, last + 1 if last >= 0 else len(request) + last + 1, step) if first else ()
    for number, argument in enumerate(request):
        if number in keys and len(argument) > limits.key_bytes_max:
            error = TooLarge("key", len(argument), limits.key_bytes_max, "limits.key_bytes_max")
            return ErrorReply(f"ERR {error}")
        if len(argument) > limits.value_bytes_max:
            error = TooLarge("value", len(argument), limits.value_bytes_max, "limits.value_bytes_max")
            return ErrorReply(f"ERR {error}")
    return None

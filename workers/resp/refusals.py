"""What clients are told when a command is refused: one line, whose first word says whether to try again.

`TRYAGAIN`, `OOM`, `LOADING` and `READONLY` say that nothing was changed, and that the same command may succeed later.
Clients repeat commands by themselves on such words. So a write that may still take effect is answered `ERR`. `PING` is
answered `MISCONF` while writes cannot succeed: the word with which Redis itself refuses a `PING` for that reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands import ErrorReply
from crdt_core.errors import NOTHING_CHANGED, DeltaicError, Overloaded, StoreUnavailable, TooLarge

if TYPE_CHECKING:
    from crdt_core.commands import Command, Session
    from workers.config.settings import LimitSettings

__all__ = ["no_writes", "refusal", "too_large"]

_REASONS = ("OOM", "LOADING", "READONLY")


def refusal(error: Exception) -> ErrorReply:
    """Return the line for an error of the tree. Raises any other error."""
    match error:
        case Overloaded():
            return ErrorReply(f"TRYAGAIN {error}")
        case StoreUnavailable(unchanged=True):
            word = next((word for word in _REASONS if word in str(error)), "TRYAGAIN")
            return ErrorReply(f"{word} {error}")
        case DeltaicError():
            return ErrorReply(error.resp_line)
    raise error


def no_writes(reason: str) -> ErrorReply:
    """Return the line for a health check while writes cannot succeed, for `reason`."""
    return ErrorReply(f"MISCONF this node cannot write at present ({reason}); {NOTHING_CHANGED}")


def too_large(command: Command[Session], request: list[bytes], limits: LimitSettings) -> ErrorReply | None:
    """Return the line for the first key or value over its limit, if there is one."""
    keys = command.keys_among(request)
    for place, argument in enumerate(request):
        if place in keys and len(argument) > limits.key_bytes_max:
            error = TooLarge("key", len(argument), limits.key_bytes_max, "limits.key_bytes_max")
            return ErrorReply(f"ERR {error}")
        if len(argument) > limits.value_bytes_max:
            error = TooLarge("value", len(argument), limits.value_bytes_max, "limits.value_bytes_max")
            return ErrorReply(f"ERR {error}")
    return None

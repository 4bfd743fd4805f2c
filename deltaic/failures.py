"""What went wrong between the client and a node, and whether a write may have taken effect all the same.

A node says so itself: `TRYAGAIN`, `OOM`, `LOADING` and `READONLY` mean that nothing was changed; an `ERR` that ends in
"it may still take effect" means what it says; any other error is the caller's. Where the connection fails, a command
that was sent may have taken effect.
"""

from __future__ import annotations

import errno
import os
import ssl

from redis import exceptions
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from crdt_core.errors import MAY_TAKE_EFFECT, NOTHING_CHANGED, SHUTTING_DOWN
from deltaic.errors import Refused

__all__ = ["NodeFailed", "connection_failure", "is_try_again", "reply_failure"]

_UNCHANGED = (TryAgainError, OutOfMemoryError, ReadOnlyError, BusyLoadingError)
_SAYS_UNCHANGED = (NOTHING_CHANGED, SHUTTING_DOWN)


class NodeFailed(Exception):
    """A node did not take a command, for `reason`. Internal: callers see what the client makes of it."""

    def __init__(self, reason: str, *, may_have_acted: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.may_have_acted = may_have_acted


def connection_failure(node: str, error: RedisError | OSError, *, sent: bool) -> NodeFailed | Refused:
    """Return what `error` of redis-py means for commands that were `sent`, or not sent yet."""
    if isinstance(error, AuthenticationError):
        return Refused(node, "the connection", str(error))
    if isinstance(error, exceptions.TimeoutError):
        return NodeFailed("it did not reply in time" if sent else "no connection in time", may_have_acted=sent)
    return NodeFailed(_reason(error), may_have_acted=sent and not isinstance(error, _UNCHANGED))


def reply_failure(node: str, command: str, error: ResponseError) -> NodeFailed | Refused:
    """Return what the error reply to `command` means."""
    text = str(error)
    if isinstance(error, _UNCHANGED) or any(words in text for words in _SAYS_UNCHANGED):
        return NodeFailed(text, may_have_acted=False)
    if MAY_TAKE_EFFECT in text:
        return NodeFailed(text, may_have_acted=True)
    return Refused(node, command, text)


def is_try_again(reply: object) -> bool:
    """Whether the reply is an error that begins with TRYAGAIN."""
    return isinstance(reply, TryAgainError)


def _reason(error: BaseException) -> str:
    """Return what failed in the system's words, such as "connection refused", or else in redis-py's."""
    origin: BaseException | None = error
    while origin is not None:
        if isinstance(origin, ssl.SSLError):
            return f"no TLS that both sides trust ({getattr(origin, 'verify_message', None) or origin.reason})"
        if isinstance(origin, OSError) and origin.errno is not None and origin.errno in errno.errorcode:
            return os.strerror(origin.errno).lower()
        origin = origin.__cause__ or origin.__context__
    return str(error).rstrip(".")

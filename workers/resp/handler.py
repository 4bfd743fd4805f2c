"""A command that needs the connection rather than a replica."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.resp.connection import Connection

__all__ = ["Handler"]


class Handler(NamedTuple):
    """`name` and `arity` as in a `Command` of the core.

    `run`: the reply to the arguments behind the name, a coroutine of it, or `NOTHING` where it has said what there is
    to say. `settled`: everything before it must have been answered. `queued`: it may stand between MULTI and EXEC.
    """

    name: bytes
    arity: int
    run: Callable[[Connection, list[bytes]], Any]
    settled: bool = True
    queued: bool = False

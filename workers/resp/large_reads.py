"""Reads whose replies are too large for one turn: they run and are encoded by part, as a large call.

Other reads are answered at once, from the last confirmed state. A large one goes to the mailbox like a write, and reads
the replica between two turns (`crdt_core.node.large_calls`). So its reply shows one state, the confirmed one, and
everybody else is answered meanwhile. Writes wait until it is done.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from crdt_core.commands.command import Sliced
from workers.resp.encoding import Encoded, encode_by_step

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.commands import Command, Session

__all__ = ["encoding"]


def encoding(command: Command[Session], *, resp3: bool) -> Command[Session]:
    """Return the row of a read so that its reply is encoded by part, too, where it runs by part."""
    sliced = command.sliced
    if sliced is None or command.writes:
        return command

    def steps(run: Sliced[Session], session: Session, args: list[bytes]) -> Generator[None, None, Any]:
        reply = yield from run.steps(session, args)
        encoded: Encoded = yield from encode_by_step(reply, resp3=resp3)
        return encoded

    return replace(command, sliced=Sliced(partial(steps, sliced), sliced.parts))

"""A write in place carries the deadline that it saw.

A counter that lives for 900 s is deleted here and counted there, concurrently. The delete takes away what it saw, the
deadline included. So the increment carries the deadline (`crdt_core.types.expiry`) in its own commit, and what survives
the delete lives no longer than the client saw. A commit carries a deadline once for each key, and only where it adds
something. A key without a deadline costs nothing.

A member of version 0.1.0 cannot read what is carried. Then nothing is, and a string that is written whole gets its
deadline anew, as in 0.1.0.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from crdt_core.commands.expiry import set_deadline
from crdt_core.commands.slicing import run_by_part
from crdt_core.lattice.siblings import is_tombstone
from crdt_core.types import EXPIRY, SLOT
from crdt_core.types.expiry import CARRIED, Until, slot_write

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.commands.command import Command
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session

__all__ = ["carry", "run_carrying", "steps_carrying"]


def carry(session: Session, key: bytes, deadline_ms: int) -> None:
    """Let what was written under `key` keep the deadline that the writer saw there.

    Where deadlines of former values would count instead, it is set anew.
    """
    replica = session.replica
    head = replica.head(key)
    if head is not None and not replica.cautious:
        replica.write(key, EXPIRY, CARRIED, Until(deadline_ms, slot_write(head, replica.replica_index)))
    if session.deadline_ms(key) != deadline_ms:
        set_deadline(session, key, deadline_ms)


def run_carrying(session: Session, command: Command[Session], args: list[bytes]) -> Reply:
    """Run a command that writes, and carry the deadlines of the keys to which it adds something."""
    seen, before = _deadlines(session, command, args), len(session.replica.uncommitted)
    reply: Reply = command.run(session, args)
    _carry_on(session, seen, before)
    return reply


def steps_carrying(session: Session, command: Command[Session], args: list[bytes]) -> Generator[None, None, Reply]:
    """Do the same, for any command, and yield after each part that a large one changes."""
    seen, before = _deadlines(session, command, args), len(session.replica.uncommitted)
    reply = yield from run_by_part(session, command, args)
    _carry_on(session, seen, before)
    return reply


def _deadlines(session: Session, command: Command[Session], args: list[bytes]) -> dict[bytes, int | None]:
    """Return the deadline of each key of the command that shows, and may have one."""
    expiring = session.replica.catalogue.expiring
    if expiring.isdisjoint(args):
        return {}
    places = command.keys_among([command.name, *args])
    keys = {args[place - 1] for place in places if place <= len(args) and args[place - 1] in expiring}
    return {key: session.deadline_ms(key) for key in keys if session.find(key) is not None}


def _carry_on(session: Session, seen: dict[bytes, int | None], before: int) -> None:
    """Carry the deadlines in `seen`, where more was written since than the first `before` writes of the commit."""
    replica = session.replica
    written = replica.uncommitted
    for key, deadline_ms in seen.items():
        is_new = (key, EXPIRY.name, SLOT) in written or (key, EXPIRY.name, CARRIED) in written
        if deadline_ms is None or is_new or deadline_ms != session.deadline_ms(key) or replica.cautious:
            continue
        recent = len(written) - before
        if not recent and key in replica.only_removed:
            recent = len(written)  # what was removed in the same commit is written again, at the same address
        mine = [address for address in islice(reversed(written), recent) if address[0] == key]
        if not all(is_tombstone(written[address]) for address in mine):
            carry(session, key, deadline_ms)
        elif mine:
            replica.only_removed.add(key)

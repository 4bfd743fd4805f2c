"""How many parts a command would change, and how it runs part by part, for operations that are `Sliceable`.

The arguments do not bound the work of two kinds of commands. One says so in its row (`Sliced`); most of that kind may
remove something large (`clearing`). The other is every command that writes: under a key that has expired it deletes
what stands there first (`Session.take`), however large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.command import Sliced
from crdt_core.replica.deleting import clear_by_part, clearable_parts, delete_by_part, parts_under
from crdt_core.replica.steps import LOOKS_PER_STEP, batched, finish
from crdt_core.types.expiry import deadline_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from crdt_core.commands.command import Command
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.replica.replica import Replica

__all__ = [
    "at_once",
    "clearing",
    "fit_by_step",
    "looking",
    "parts_changed",
    "parts_of_all",
    "parts_to_order",
    "run_by_part",
]


def at_once(
    steps: Callable[[Session, list[bytes]], Generator[None, None, Reply]],
) -> Callable[[Session, list[bytes]], Reply]:
    """Return the function of a command that does all `steps` in one go."""
    return lambda session, args: finish(steps(session, args))


def clearing(run: Callable[[Session, list[bytes]], Reply], keys: slice | None = None) -> Sliced[Session]:
    """Return how the command that `run` is runs by part: it may remove all that stands under some of its arguments.

    Those are the first one, or `keys`. The command holds to what `clear_by_part` asks for.
    """
    places = slice(1) if keys is None else keys

    def steps(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
        return clear_by_part(session.replica, args[places], lambda: run(session, args))

    def parts(replica: Replica, args: list[bytes], wall_ms: int) -> int:  # noqa: ARG001
        return clearable_parts(replica, args[places])

    return Sliced(steps, _parts_of_first if keys is None else parts)


def _parts_of_first(replica: Replica, args: list[bytes], wall_ms: int) -> int:  # noqa: ARG001
    """Return how many parts the collections under the first argument have. Most often there are none: SET asks this."""
    head = replica.catalogue.heads.get(args[0])
    if head is None or not (head.type.collection or head.type_conflicts):
        return 0
    return clearable_parts(replica, args[:1])


def looking(
    steps: Callable[[Session, list[bytes]], Generator[None, None, Reply]], parts_per_step: int = LOOKS_PER_STEP
) -> Sliced[Session]:
    """Return how a command runs by part that looks at all that stands under its arguments, and changes nothing."""
    return Sliced(steps, lambda replica, args, wall_ms: parts_of_all(replica, args, wall_ms) // parts_per_step)


def fit_by_step(session: Session, *replies: list[bytes]) -> Generator[None, None, None]:
    """Do what `Session.must_fit_reply` does; yield after every few items."""
    size = 0
    for items in replies:
        for some in batched(items):
            size += sum(map(len, some))
            yield
    session.must_fit_reply_of(size)


def parts_of_all(replica: Replica, args: list[bytes], wall_ms: int) -> int:  # noqa: ARG001
    """Return how many parts stand under all keys in `args`."""
    return sum(parts_under(replica, key) for key in args)


def parts_to_order(replica: Replica, args: list[bytes], wall_ms: int) -> int:  # noqa: ARG001
    """Return what it costs in parts to make the orders of those under the first argument that have none."""
    head, kept = replica.head(args[0]), replica.catalogue.scan_index.parts.kept
    chain = () if head is None else head.chain()
    return sum(link.size // LOOKS_PER_STEP for link in chain if (link.key, link.type.name) not in kept)


def parts_changed(replica: Replica, command: Command[Session], args: list[bytes], wall_ms: int) -> int:
    """Return about how many parts of `replica` the command would change beyond those that `args` name."""
    parts = 0 if command.sliced is None else command.sliced.parts(replica, args, wall_ms)
    if replica.catalogue.expiring.size and command.writes:
        parts += sum(parts_under(replica, key) for key in _expired(replica, command, args, wall_ms))
    return parts


def run_by_part(session: Session, command: Command[Session], args: list[bytes]) -> Generator[None, None, Reply]:
    """Run a command in a turn; yield after each part that it changes beyond those that `args` name."""
    if command.writes:
        replica = session.replica
        for key in _expired(replica, command, args, session.wall_ms):
            replica.expired_keys += 1
            yield from delete_by_part(replica, key)
    reply: Reply
    if command.sliced is not None:
        reply = yield from command.sliced.steps(session, args)
    else:
        reply = command.run(session, args)
    return reply


def _expired(replica: Replica, command: Command[Session], args: list[bytes], wall_ms: int) -> list[bytes]:
    """Return the keys of the command that have expired, each once."""
    expiring, index = replica.catalogue.expiring, replica.replica_index
    if expiring.isdisjoint(args):
        return []
    places = command.keys_among([command.name, *args])
    keys = dict.fromkeys(args[place - 1] for place in places if place <= len(args) and args[place - 1] in expiring)
    deadlines = ((key, deadline_of(replica.catalogue.heads[key], index)) for key in keys)
    return [key for key, deadline_ms in deadlines if deadline_ms is not None and deadline_ms <= wall_ms]

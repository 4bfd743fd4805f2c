"""The commands of a commit, packed into one buffer: a transaction, and the WATCH that guards the next one.

Nearly every commit changes a few fields and adds one entry to the log. Its commands are made here, from beginnings that
`workers.storage.requests` makes once. That module makes all commands of any other commit.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from workers.storage.requests import WORDS_PER_COMMAND, add_to_log, record_commands, set_header, stream_commands
from workers.wire.connection import pack
from workers.wire.keys import DELTA_FIELD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crdt_core.node.events import Commit
    from workers.wire.connection import RedisCommand
    from workers.wire.keys import Keys

__all__ = ["CommitBuffer"]


class CommitBuffer:
    """Makes the buffers of the replica at `keys`, whose log keeps about `log_entries_max` entries.

    `guard`: what follows the transaction, for the next one.
    """

    def __init__(self, keys: Keys, log_entries_max: int, guard: Iterable[RedisCommand]) -> None:
        self._keys = keys
        self._log_entries_max = log_entries_max
        self._prefix = keys.record(b"")
        self._set_header = set_header(keys, {})
        self._add_to_log = add_to_log(keys, log_entries_max)
        self._begin = pack(("MULTI",))
        end: tuple[RedisCommand, ...] = (("EXEC",), *guard)
        self._end = b"".join(map(pack, end))
        self._constant = 1 + len(end)  # how many of the commands every commit has

    def packed(self, commit: Commit, header: Mapping[str, bytes]) -> tuple[bytes, int]:
        """Return the commands of `commit`, which also sets the fields `header` of the header, and how many they are."""
        changes = commit.records
        commands: list[RedisCommand] = []
        for earlier in commit.earlier:
            commands += record_commands(self._keys, earlier)
        if changes.removed or changes.dropped or max(map(len, changes.written.values()), default=0) > WORDS_PER_COMMAND:
            commands += record_commands(self._keys, changes)
        else:
            prefix = self._prefix
            commands += [("HSET", prefix + hash_, *words) for hash_, words in changes.written.items()]
        if commit.trim or commit.acknowledged or commit.quarantined:
            commands += stream_commands(self._keys, commit, self._log_entries_max)
        elif commit.delta is not None:
            commands.append((*self._add_to_log, f"{commit.counter}-0", DELTA_FIELD, commit.delta))
        words: Iterable[str | bytes] = chain.from_iterable(header.items())
        commands.append((*self._set_header, *words))
        return b"".join([self._begin, *map(pack, commands), self._end]), len(commands) + self._constant

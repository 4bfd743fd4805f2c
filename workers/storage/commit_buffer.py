"""The commands of a commit, as one buffer: a transaction, and the WATCH that guards the next one.

Nearly every commit changes a few fields and adds one entry to the log. Its commands are made here, from names that are
made once. The commands of any other commit come from `workers.storage.requests`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.storage.requests import record_commands, stream_commands
from workers.wire.keys import DELTA_FIELD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crdt_core.node.events import Commit
    from workers.wire.connection import RedisCommand
    from workers.wire.keys import Keys

__all__ = ["CommitBuffer"]

_WORDS_MAX = 1024
"""How many words of one hash go into one command."""


class CommitBuffer:
    """Makes the buffers of the replica at `keys`, whose log keeps about `log_entries_max` entries.

    `guard`: what follows the transaction, for the next one.
    """

    def __init__(self, keys: Keys, log_entries_max: int, guard: Iterable[RedisCommand]) -> None:
        self._keys = keys
        self._log_entries_max = log_entries_max
        self._prefix = keys.record(b"")
        self._set_header: RedisCommand = ("HSET", keys.header)
        self._add_to_log: RedisCommand = ("XADD", keys.log, "MAXLEN", "~", log_entries_max)
        self._end: tuple[RedisCommand, ...] = (("EXEC",), *guard)

    def commands(self, commit: Commit, header: Mapping[str, bytes]) -> list[RedisCommand]:
        """Returns the commands of `commit`, which also sets the fields `header` of the header."""
        changes = commit.records
        commands: list[RedisCommand] = [("MULTI",)]
        if changes.removed or changes.dropped or max(map(len, changes.written.values()), default=0) > _WORDS_MAX:
            commands += record_commands(self._keys, changes)
        else:
            prefix = self._prefix
            commands += [("HSET", prefix + hash_, *words) for hash_, words in changes.written.items()]
        if commit.trim or commit.acknowledged or commit.quarantined:
            commands += stream_commands(self._keys, commit, self._log_entries_max)
        elif commit.delta is not None:
            commands.append((*self._add_to_log, f"{commit.counter}-0", DELTA_FIELD, commit.delta))
        fields: list[str | bytes] = []
        for pair in header.items():
            fields += pair
        return [*commands, (*self._set_header, *fields), *self._end]

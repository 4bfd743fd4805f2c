"""Builds the Redis commands for a commit or for the whole state of a replica. Nothing here talks to Redis.

There is one command per hash and kind of change, with up to a bounded number of fields and of bytes. That is several
times cheaper than a command per field.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from crdt_core.codec.records import Changes
from workers.wire.keys import DELTA_FIELD, GROUP, PAUSED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from crdt_core.codec.records import Record
    from crdt_core.node.events import Commit
    from crdt_core.replica.replica import Replica
    from workers.wire.connection import RedisCommand
    from workers.wire.keys import Keys

__all__ = [
    "BATCH_COMMANDS",
    "FIELDS_PER_COMMAND",
    "WORDS_PER_COMMAND",
    "add_to_log",
    "batches",
    "delete_objects",
    "quarantine_entry",
    "record_commands",
    "replace_links",
    "set_header",
    "stream_commands",
    "whole_state",
]


FIELDS_PER_COMMAND = 512
WORDS_PER_COMMAND = 2 * FIELDS_PER_COMMAND
"""How many words of one hash, its fields and their values, go into one HSET."""
BATCH_COMMANDS = 512
_BATCH_BYTES = 256 << 10
"""A quarter of the least `client-query-buffer-limit` that Redis can be set to."""
_QUARANTINE_ENTRIES_MAX = 10_000


def record_commands(keys: Keys, changes: Changes) -> list[RedisCommand]:
    """Return the commands that persist `changes` of objects."""
    return [
        *_by_fields("HSET", keys, changes.written, 2),
        *_by_fields("HDEL", keys, changes.removed, 1),
        *(("UNLINK", keys.record(hash_)) for hash_ in changes.dropped),
    ]


def _by_fields(
    name: str, keys: Keys, items: Mapping[bytes, list[bytes]], words_per_field: int
) -> Iterator[RedisCommand]:
    step = words_per_field * FIELDS_PER_COMMAND
    for hash_, words in items.items():
        key = keys.record(hash_)
        start = size = 0
        for at in range(0, len(words), words_per_field):
            field_size = sum(map(len, words[at : at + words_per_field]))
            if at - start == step or (size and size + field_size > _BATCH_BYTES):
                yield name, key, *words[start:at]
                start, size = at, 0
            size += field_size
        yield name, key, *words[start:]


def stream_commands(keys: Keys, commit: Commit, log_entries_max: int) -> list[RedisCommand]:
    """Return the commands for the streams that `commit` changes: the log, the inbox and the quarantine."""
    commands: list[RedisCommand] = []
    if commit.delta is not None:
        commands.append((*add_to_log(keys, log_entries_max), f"{commit.counter}-0", DELTA_FIELD, commit.delta))
    if commit.trim:
        commands.append(("XTRIM", keys.log, "MINID", f"{commit.trim + 1}-0"))
    if commit.acknowledged:
        commands.append(("XACK", keys.inbox, GROUP, *commit.acknowledged))
        commands.append(("XDEL", keys.inbox, *commit.acknowledged))
    commands += (
        quarantine_entry(keys, item.source, item.entry, item.reason, item.content) for item in commit.quarantined
    )
    return commands


def add_to_log(keys: Keys, log_entries_max: int) -> RedisCommand:
    """Return the words before the entry in the command that adds an entry to the log and trims the log roughly."""
    return "XADD", keys.log, "MAXLEN", "~", log_entries_max


def quarantine_entry(keys: Keys, source: str, entry: bytes | str, reason: str, content: bytes) -> RedisCommand:
    """Return the command that puts a stream entry into the quarantine; `reason` says why."""
    fields = ("source", source, "entry", entry, "reason", reason, "content", content)
    return "XADD", keys.quarantine, "MAXLEN", "~", _QUARANTINE_ENTRIES_MAX, "*", *fields


def set_header(keys: Keys, fields: Mapping[str, bytes]) -> RedisCommand:
    """Return the command that sets `fields` of the header."""
    words: Iterable[str | bytes] = chain.from_iterable(fields.items())
    return "HSET", keys.header, *words


def replace_links(keys: Keys, paused: Iterable[str]) -> list[RedisCommand]:
    """Return the commands that pause the links to `paused` and open all others."""
    fields = [word for peer in paused for word in (peer, PAUSED.encode())]
    return [("UNLINK", keys.links), *([("HSET", keys.links, *fields)] if fields else [])]


def whole_state(keys: Keys, replica: Replica, present: Sequence[bytes]) -> Iterator[RedisCommand]:
    """Yield the commands that replace all objects in Redis with the objects of `replica`.

    `present` has the keys that `workers.storage.object_keys` finds.
    """
    yield from delete_objects(present)
    for changes in _chunks(replica.catalogue.records()):
        yield from record_commands(keys, changes)


def delete_objects(present: Sequence[bytes]) -> Iterator[RedisCommand]:
    """Yield the commands that delete the keys `present`."""
    for start in range(0, len(present), FIELDS_PER_COMMAND):
        yield "UNLINK", *present[start : start + FIELDS_PER_COMMAND]


def batches(commands: Iterable[RedisCommand]) -> Iterator[list[RedisCommand]]:
    """Yield `commands` in lists with a bounded number of commands and of bytes; one command may exceed the bytes."""
    batch: list[RedisCommand] = []
    size = 0
    for command in commands:
        command_size = sum(len(word) for word in command if isinstance(word, bytes))
        if batch and (size + command_size > _BATCH_BYTES or len(batch) >= BATCH_COMMANDS):
            yield batch
            batch, size = [], 0
        batch.append(command)
        size += command_size
    if batch:
        yield batch


def _chunks(records: Iterable[Record]) -> Iterator[Changes]:
    chunk = Changes()
    size = count = 0
    for record in records:
        chunk.add(record)
        size, count = size + len(record.value or b""), count + 1
        if size >= _BATCH_BYTES or count >= FIELDS_PER_COMMAND:
            yield chunk
            chunk = Changes()
            size = count = 0
    if chunk:
        yield chunk

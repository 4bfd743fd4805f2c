"""Builds the Redis commands for a commit or for the whole state of a replica. Nothing here talks to Redis.

There is one command per hash and kind of change, with up to a bounded number of fields. That is several times cheaper
than a command per field.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from crdt_core.codec.records import STATE, Changes, object_hashes
from workers.wire.keys import DELTA_FIELD, GROUP, PAUSED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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
_BATCH_BYTES = 1 << 20
_QUARANTINE_ENTRIES_MAX = 10_000


def record_commands(keys: Keys, changes: Changes) -> list[RedisCommand]:
    """Return the commands that persist `changes` of objects."""
    return [
        *_by_fields("HSET", keys, changes.written, WORDS_PER_COMMAND),
        *_by_fields("HDEL", keys, changes.removed, FIELDS_PER_COMMAND),
        *(("UNLINK", keys.record(hash_)) for hash_ in changes.dropped),
    ]


def _by_fields(name: str, keys: Keys, items: Mapping[bytes, list[bytes]], step: int) -> Iterator[RedisCommand]:
    for hash_, words in items.items():
        key = keys.record(hash_)
        for start in range(0, len(words), step):
            yield name, key, *words[start : start + step]


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


def whole_state(keys: Keys, replica: Replica, present: Iterable[bytes]) -> Iterator[RedisCommand]:
    """Yield the commands that replace all objects in Redis with the objects of `replica`.

    `present` has the keys of the collections that Redis holds. The replica's own collections are deleted as well before
    they are written: if Redis lost only the catalogue, they are still there, but no catalogue lists them.
    """
    yield "UNLINK", keys.record(STATE)
    yield from (("UNLINK", key) for key in present)
    for head in replica.catalogue.objects.values():
        yield from (("UNLINK", keys.record(hash_)) for _, hash_ in object_hashes(head))
    for changes in _chunks(replica.catalogue.records()):
        yield from record_commands(keys, changes)


def batches(commands: Iterable[RedisCommand]) -> Iterator[list[RedisCommand]]:
    """Yield `commands` in lists with a bounded number of commands and of bytes; one command may exceed the bytes."""
    batch: list[RedisCommand] = []
    size = 0
    for command in commands:
        batch.append(command)
        size += sum(len(word) for word in command if isinstance(word, bytes))
        if size >= _BATCH_BYTES or len(batch) >= BATCH_COMMANDS:
            yield batch
            batch, size = [], 0
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

"""What a commit, or a whole replica, is as Redis commands. Nothing here talks to Redis.

One command per hash and kind, up to a bounded number of fields: per field, it is several times cheaper than one each.
"""

from __future__ import annotations

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

__all__ = ["batches", "beside_records", "header_set", "image", "links_set", "quarantined", "record_commands"]


_FIELDS_PER_COMMAND = 512
_BATCH_COMMANDS = 512
_BATCH_BYTES = 1 << 20
_QUARANTINE_ENTRIES_MAX = 10_000


def record_commands(keys: Keys, changes: Changes) -> list[RedisCommand]:
    """What persists `changes`."""
    return [
        *_by_fields("HSET", keys, changes.written, 2 * _FIELDS_PER_COMMAND),
        *_by_fields("HDEL", keys, changes.removed, _FIELDS_PER_COMMAND),
        *(("UNLINK", keys.record(hash_)) for hash_ in changes.dropped),
    ]


def _by_fields(name: str, keys: Keys, items: Mapping[bytes, list[bytes]], step: int) -> Iterator[RedisCommand]:
    for hash_, words in items.items():
        key = keys.record(hash_)
        for start in range(0, len(words), step):
            yield name, key, *words[start : start + step]


def beside_records(keys: Keys, commit: Commit, log_entries_max: int) -> list[RedisCommand]:
    """What `commit` does beside the objects and the header."""
    changes: list[RedisCommand] = []
    if commit.delta is not None:
        cap: RedisCommand = ("MAXLEN", "~", log_entries_max)
        changes.append(("XADD", keys.log, *cap, f"{commit.counter}-0", DELTA_FIELD, commit.delta))
    if commit.trim:
        changes.append(("XTRIM", keys.log, "MINID", f"{commit.trim + 1}-0"))
    if commit.acknowledged:
        changes.append(("XACK", keys.inbox, GROUP, *commit.acknowledged))
        changes.append(("XDEL", keys.inbox, *commit.acknowledged))
    changes.extend(quarantined(keys, item.source, item.entry, item.reason, item.content) for item in commit.quarantined)
    return changes


def quarantined(keys: Keys, source: str, entry: bytes | str, reason: str, content: bytes) -> RedisCommand:
    """What sets an entry aside."""
    fields = ("source", source, "entry", entry, "reason", reason, "content", content)
    return "XADD", keys.quarantine, "MAXLEN", "~", _QUARANTINE_ENTRIES_MAX, "*", *fields


def header_set(keys: Keys, fields: Mapping[str, bytes]) -> RedisCommand:
    """What sets fields of the header."""
    return "HSET", keys.header, *_flat(fields)


def links_set(keys: Keys, paused: Iterable[str]) -> list[RedisCommand]:
    """What makes the links those where `paused` are not listened to, and all others are."""
    fields = _flat(dict.fromkeys(paused, PAUSED.encode()))
    return [("UNLINK", keys.links), *([("HSET", keys.links, *fields)] if fields else [])]


def image(keys: Keys, replica: Replica, present: Iterable[bytes]) -> Iterator[RedisCommand]:
    """What replaces all objects in Redis, whose collections are at the keys `present`, by those of `replica`.

    The replica's own collections go first too: if the catalogue alone was lost, they are still there, unlisted.
    """
    yield "UNLINK", keys.record(STATE)
    yield from (("UNLINK", key) for key in present)
    for head in replica.catalogue.objects.values():
        yield from (("UNLINK", keys.record(hash_)) for _, hash_ in object_hashes(head))
    for changes in _chunks(replica.catalogue.records()):
        yield from record_commands(keys, changes)


def batches(commands: Iterable[RedisCommand]) -> Iterator[list[RedisCommand]]:
    """`commands` in lists of a bounded number of commands and, but for a last large one, of bytes."""
    batch: list[RedisCommand] = []
    size = 0
    for command in commands:
        batch.append(command)
        size += sum(len(word) for word in command if isinstance(word, bytes))
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_COMMANDS:
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
        if size >= _BATCH_BYTES or count >= _FIELDS_PER_COMMAND:
            yield chunk
            chunk = Changes()
            size = count = 0
    if chunk:
        yield chunk


def _flat(fields: Mapping[str, bytes]) -> list[str | bytes]:
    return [item for pair in fields.items() for item in pair]

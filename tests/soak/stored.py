"""What a node's Redis holds of its replica: whether it is what was committed, and how a soak damages it.

Damage may always be read: a hash or a field that is gone, a record with another dot. What cannot be decoded is for a
person to look into (`crdt_core.errors.CorruptState`), so a soak that runs by itself makes nothing of that kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.codec.header import seal_at
from crdt_core.errors import DamagedState, Malformed
from tests.sim.persisted import load
from tests.sim.violation import Violation
from tests.support import wait_until
from workers.wire.keys import Keys

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from redis import Redis

    from tests.sim.store import Hashes

__all__ = ["alter_fields", "delete_keys", "difference", "state_keys", "wait_until_whole"]

_READ = """
local found = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  if redis.call('TYPE', key).ok == 'hash' then found[#found + 1] = {key, redis.call('HGETALL', key)} end
end
return found
"""
"""Reads all hashes whose name begins with the argument, at one moment."""
_DOT = re.compile(rb'("[^":]+:)(\d+)(?=":)')
_STATE = (b"state", b"obj:", b"rival:")


@dataclass(frozen=True, slots=True)
class _Held:
    """A replica as `tests.sim.persisted.load` reads it: the hashes by their names in the records, and the header."""

    hashes: Hashes
    header: dict[bytes, bytes]


def difference(redis: Redis, node: str) -> str:
    """How what `redis` holds differs from what the node has committed; empty if it does not."""
    found = _hashes(redis, node)
    header = found.pop(Keys(node).header.encode(), {})
    if b"clock" not in header:
        return "there is no header"
    if b"staged" in header:
        return "a commit is staged"
    if seal := seal_at(header, header.get(b"turn", b"")):
        header[b"seal"] = seal
    else:
        header.pop(b"seal", None)
    prefix = Keys(node).record(b"")
    held = _Held({key.removeprefix(prefix): fields for key, fields in found.items() if _is_state(key, node)}, header)
    try:
        load(header[b"replica"].decode(), held, 1, ())
    except (DamagedState, Malformed, Violation) as damage:
        return str(damage)
    return ""


def wait_until_whole(redis: Redis, node: str, timeout: float) -> None:
    """Returns when `redis` holds what the node has committed."""

    def check() -> bool:
        found = difference(redis, node)
        assert not found, found
        return True

    wait_until(check, timeout, f"the Redis of {node} to be whole")


def state_keys(redis: Redis, node: str) -> list[bytes]:
    """The keys of the catalogue and of all collections."""
    return sorted(key for key in _hashes(redis, node) if _is_state(key, node))


def delete_keys(redis: Redis, keys: Sequence[bytes], chance: random.Random) -> int:
    """Deletes some of `keys`, at least one; how many were there."""
    chosen = chance.sample(keys, chance.randint(1, len(keys))) if keys else []
    return redis.delete(*chosen) if chosen else 0


def alter_fields(redis: Redis, keys: Sequence[bytes], chance: random.Random) -> int:
    """Deletes a field of some of the hashes `keys`, or writes another dot into it; how many."""
    altered = 0
    for key in chance.sample(keys, chance.randint(1, len(keys))) if keys else []:
        fields = redis.hgetall(key)
        if not fields:
            continue
        field = chance.choice(sorted(fields))
        value = _DOT.sub(lambda dot: b"%b%d" % (dot[1], int(dot[2]) + 1), fields[field], count=1)
        if value == fields[field] or b"clears" in value or chance.random() < 0.3:
            redis.hdel(key, field)
        else:
            redis.hset(key, field, value)
        altered += 1
    return altered


def _hashes(redis: Redis, node: str) -> Hashes:
    found = redis.eval(_READ, 0, Keys(node).header)
    return {key: dict(zip(flat[::2], flat[1::2], strict=True)) for key, flat in found}


def _is_state(key: bytes, node: str) -> bool:
    return key.startswith(tuple(Keys(node).record(hash_) for hash_ in _STATE))

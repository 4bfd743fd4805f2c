"""Keyspace notifications on real nodes: changes are told wherever they were made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support import wait_until
from tests.workers.resp.listening import messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    Client = Callable[..., Redis]


def test_changes_are_told_wherever_they_were_made(client: Client, key: str) -> None:
    listener = client("n2").pubsub()
    listener.psubscribe("__key*__:*")
    wait_until(lambda: client("n2").pubsub_numpat() >= 1, what="the subscription")
    n1, n2 = client("n1"), client("n2")
    heard: list[tuple[bytes, bytes]] = []
    changes: list[tuple[Callable[[], Any], str, bytes]] = [
        (lambda: n1.set(key, 5), key, b"set"),
        (lambda: n1.incr(key), key, b"incrby"),
        (lambda: n1.expire(key, 100), key, b"expire"),
        (lambda: n1.persist(key), key, b"persist"),
        (lambda: n1.delete(key), key, b"del"),
        (lambda: n1.sadd(key + ":set", "a", "b"), key + ":set", b"sadd"),
        (lambda: n1.srem(key + ":set", "a"), key + ":set", b"srem"),
        (lambda: n1.srem(key + ":set", "b"), key + ":set", b"del"),
        (lambda: n1.hset(key + ":hash", mapping={"f": "v", "g": "v"}), key + ":hash", b"hset"),
        (lambda: n1.hincrby(key + ":hash", "n", 2), key + ":hash", b"hincrby"),
        (lambda: n1.hdel(key + ":hash", "f"), key + ":hash", b"hdel"),
        (lambda: n2.set(key, "own"), key, b"set"),
    ]
    for change, changed, event in changes:
        del heard[:]
        change()
        told = {(b"__keyspace@0__:" + changed.encode(), event), (b"__keyevent@0__:" + event, changed.encode())}
        wait_until(
            lambda told=told: heard.extend(messages(listener)) or told <= set(heard), 20, f"{event!r} to be told"
        )
    assert not any(b"deltaic:" in channel or data.startswith(b"deltaic:") for channel, data in heard)
    listener.close()

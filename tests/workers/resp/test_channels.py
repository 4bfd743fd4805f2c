"""Channels, and what is told on them of changes: local ones and those of peers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support import wait_until
from tests.workers.resp.raw import Raw, packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from tests.fleet import Fleet

    Client = Callable[..., Redis]


def messages(subscription: Any) -> list[tuple[bytes, bytes]]:
    """What has come so far: (channel, message)."""
    found = []
    while (message := subscription.get_message(timeout=0.05)) is not None:
        if message["type"] in {"message", "pmessage"}:
            found.append((message["channel"], message["data"]))
    return found


@pytest.mark.parametrize("protocol", [2, 3])
def test_messages_reach_who_listens_at_the_node(client: Client, key: str, protocol: int) -> None:
    listener = client("n1", protocol=protocol).pubsub()
    listener.subscribe(key)
    listener.psubscribe(key.replace("[", "\\[").replace("]", "\\]") + ":*")
    wait_until(lambda: client().execute_command("PUBSUB", "NUMSUB", key) == [key.encode(), 1], what="the subscription")
    wait_until(lambda: client().pubsub_numpat() >= 1, what="the subscription")
    assert client().publish(key, "hello") == 1
    assert client().publish(key + ":a", "you") == 1
    assert client().publish(key + "!", "nobody") == 0
    heard: list[tuple[bytes, bytes]] = []
    wait_until(lambda: heard.extend(messages(listener)) or len(heard) == 2, what="both messages")
    assert heard == [(key.encode(), b"hello"), (key.encode() + b":a", b"you")]
    listener.unsubscribe()
    listener.punsubscribe()
    wait_until(lambda: client().publish(key, "gone") == 0, what="the end of the subscription")
    listener.close()


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


def test_who_listens_in_resp2_may_do_nothing_else(fleet: Fleet, key: str) -> None:
    name = key.encode()
    with Raw(fleet["n1"].resp_port) as raw:
        assert raw.call(b"SUBSCRIBE", name) == [b"subscribe", name, 1]
        assert "only (P|S)SUBSCRIBE" in str(raw.call(b"GET", name))
        assert raw.call(b"PING") == [b"pong", b""]
        assert raw.call(b"UNSUBSCRIBE") == [b"unsubscribe", name, 0]
        assert raw.call(b"UNSUBSCRIBE") == [b"unsubscribe", None, 0]
        assert raw.call(b"GET", name) is None
        raw.send(packed(b"SUBSCRIBE", name) + packed(b"RESET") + packed(b"GET", name))
        assert raw.replies(3) == [[b"subscribe", name, 1], b"RESET", None]


def test_who_listens_in_resp3_may_go_on(fleet: Fleet, key: str) -> None:
    name = key.encode()
    with Raw(fleet["n1"].resp_port) as raw:
        raw.call(b"HELLO", b"3")
        raw.send(packed(b"SUBSCRIBE", b"__keyspace@0__:" + name) + packed(b"SET", name, b"v") + packed(b"GET", name))
        said = raw.replies(4)
        assert [b"message", b"__keyspace@0__:" + name, b"set"] in said
        assert [reply for reply in said if not isinstance(reply, list)] == [b"OK", b"v"]

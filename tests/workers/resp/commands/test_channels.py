"""SUBSCRIBE, PUBLISH, PUBSUB and their like, on a real node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import wait_until
from tests.workers.resp.listening import messages
from tests.workers.resp.raw import Raw, packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from tests.fleet import Fleet

    Client = Callable[..., Redis]


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


def test_messages_reach_who_listens_at_other_nodes_once_and_in_order(client: Client, key: str) -> None:
    """They once stayed at the node where they were published."""
    pattern = key.replace("[", "\\[").replace("]", "\\]") + "*"
    listeners = [client(name).pubsub() for name in ("n1", "n2", "n3")]
    for listener in listeners:
        listener.psubscribe(pattern)
    for name in ("n1", "n2", "n3"):
        wait_until(lambda name=name: client(name).pubsub_numpat() >= 1, what="the subscription")
    sent = [(f"{key}:{number}".encode(), b"%d" % number) for number in range(50)]
    n1 = client("n1")
    assert [n1.publish(channel, message) for channel, message in sent] == [1] * 50, "those of other nodes do not count"
    for listener in listeners:
        heard: list[tuple[bytes, bytes]] = []
        wait_until(lambda at=listener, heard=heard: heard.extend(messages(at)) or len(heard) >= 50, what="all messages")
        assert heard == sent
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


def test_who_listens_to_what_is_told(fleet: Fleet, key: str) -> None:
    name, port = key.encode(), fleet["n1"].resp_port
    with Raw(port) as listener, Raw(port) as raw:
        listener.send(packed(b"SUBSCRIBE", name, name + b":2") + packed(b"PSUBSCRIBE", name + b"*"))
        assert listener.replies(3)[-1] == [b"psubscribe", name + b"*", 3]
        assert name in raw.call(b"PUBSUB", b"CHANNELS")
        assert raw.call(b"PUBSUB", b"CHANNELS", b"no such channel") == []
        assert raw.call(b"PUBSUB", b"NUMSUB", name, b"nobody") == [name, 1, b"nobody", 0]
        assert raw.call(b"PUBSUB", b"NUMPAT") >= 1
        listener.send(packed(b"UNSUBSCRIBE") + packed(b"PUNSUBSCRIBE", name + b"*"))
        assert sorted(reply[2] for reply in listener.replies(3)) == [0, 1, 2]
        assert raw.call(b"PUBLISH", name, b"nobody hears it") == 0

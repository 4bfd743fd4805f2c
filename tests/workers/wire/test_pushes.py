"""A connection on which Redis also says what it was not asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.support import wait_until_async
from workers.wire.outages import Outages
from workers.wire.pushes import listening

if TYPE_CHECKING:
    from tests.server import ValkeyServer
    from workers.wire.reconnecting import ReconnectingConnection


class Heard:
    """What a connection has heard."""

    def __init__(self, server: ValkeyServer, *opening: tuple[str, ...]) -> None:
        self.pushes: list[Any] = []
        self.lost = asyncio.Event()
        self.connection: ReconnectingConnection = listening(
            server.url, "listener", 5, Outages(), opening, on_push=self.pushes.append, on_lost=self.lost.set
        )


async def test_messages_come_beside_answers_also_after_the_connection_was_lost(server: ValkeyServer) -> None:
    heard = Heard(server, ("SUBSCRIBE", "news"))
    with server.client() as client:
        for text in (b"one", b"two"):
            heard.lost.clear()
            assert await heard.connection.ask(("ECHO", "x"), ("ECHO", "y")) == [b"x", b"y"]
            client.publish("news", text)
            await wait_until_async(lambda text=text: [b"message", b"news", text] in heard.pushes, what="the message")
            (found,) = [found for found in client.client_list() if found["name"] == "listener"]
            client.client_kill_filter(_id=found["id"])
            await heard.lost.wait()
    heard.connection.close()


async def test_a_key_that_was_read_is_told_when_it_changes_and_then_no_more(server: ValkeyServer) -> None:
    heard = Heard(server, ("CLIENT", "TRACKING", "ON"))
    with server.client() as client:
        client.set("k", "v")
        assert await heard.connection.ask(("GET", "k")) == [b"v"]
        client.set("k", "w")
        client.set("k", "x")
        await wait_until_async(lambda: heard.pushes, what="the change")
        assert await heard.connection.ask(("ECHO", "x")) == [b"x"]
        assert heard.pushes == [[b"invalidate", [b"k"]]]
    heard.connection.close()

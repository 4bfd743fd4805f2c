"""Carries published messages between nodes: PUBLISH at one node is heard by the subscribers of all that are connected.

A node publishes each message on a channel of its own Redis, to which the workers of its peers listen. So a message is
heard at most once, in the order of its publisher, and nothing is kept for anybody who is away. A paused link is deaf.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from crdt_core.errors import StoreUnavailable
from workers.system.tasks import Children, end
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from crdt_core.types.members import Members
    from workers.replication.links import Links
    from workers.turns.mailbox import Mailbox
    from workers.wire.peers import Peers
    from workers.wire.reconnecting import ReconnectingConnection

__all__ = ["Broadcasts", "decode_message", "encode_message"]

log = structlog.get_logger()

_RETRY_S = 0.2
_WAITING_MAX = 10_000
_WAITING_BYTES_MAX = 64 << 20
_BATCH = 256
_LENGTH = re.compile(rb"([0-9]{1,10}):")


class Broadcasts:
    """The messages from and to the node behind `mailbox`. `links` says whom it does not listen to.

    `deliver` is called with the channel and the content of each message that a peer has published. Messages that wait
    for the node's own Redis are bounded; the newest are dropped, and counted. Unless `fleet_wide`, messages stay at
    their node, and those of others are not heard.
    """

    def __init__(self, mailbox: Mailbox, peers: Peers, links: Links, *, fleet_wide: bool = True) -> None:
        self.deliver: Callable[[bytes, bytes], object] = lambda _channel, _message: None
        self._mailbox = mailbox
        self._node = mailbox.node
        self._peers = peers
        self._links = links
        self._fleet_wide = fleet_wide
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()

    def publish(self, channel: bytes, message: bytes) -> None:
        """Have the peers hear `message` on `channel`; returns at once."""
        if not self._fleet_wide:
            return
        if len(self._waiting) >= _WAITING_MAX or self._waiting_bytes >= _WAITING_BYTES_MAX:
            self._node.counts["messages_dropped"] += 1
            return
        encoded = encode_message(channel, message)
        self._waiting.append(encoded)
        self._waiting_bytes += len(encoded)
        self._arrived.set()

    async def run(self) -> None:
        """Send and listen until cancelled."""
        if not self._fleet_wide:
            await asyncio.Event().wait()
        listening: dict[tuple[str, str], asyncio.Task[None]] = {}
        async with Children() as children:
            children.start(self._send_all())
            while True:
                members = self._node.replica.members
                self._peers.follow(members, joins=self._node.joins)
                wanted = self._peers.urls(self._node.peers)  # the tail of any other peer has said so
                for gone in listening.keys() - wanted:
                    children.start(end([listening.pop(gone)]))
                for peer, url in wanted - listening.keys():
                    listening[peer, url] = children.start(self._listen(peer))
                await self._mailbox.turned.wait_for(partial(self._has_other_members, members))

    def _has_other_members(self, members: Members) -> bool:
        return self._node.replica.members is not members

    async def _send_all(self) -> None:
        own = self._peers.reader(self._node.name)
        is_failing = False
        try:
            while True:
                await self._arrived.wait()
                waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
                self._arrived.clear()
                failure = await self._send(own, waiting)
                if failure and not is_failing:
                    log.warning("broadcast_failed", node=self._node.name, reason=failure)
                is_failing = bool(failure)
        finally:
            own.close()

    async def _send(self, own: ReconnectingConnection, messages: list[bytes]) -> str:
        """Publish `messages`; return why not all could be, empty if they could.

        What was under way at a failure may have been heard, so it is not sent again.
        """
        channel = Keys(self._node.name).published
        for at in range(0, len(messages), _BATCH):
            try:
                await own.ask(*(("PUBLISH", channel, message) for message in messages[at : at + _BATCH]))
            except StoreUnavailable as error:
                self._node.counts["messages_dropped"] += len(messages) - at
                return str(error)
        return ""

    async def _listen(self, peer: str) -> None:
        """Listen to what `peer` publishes; open the connection again whenever it is lost."""
        lost = asyncio.Event()
        connection = self._peers.listener(
            peer, [("SUBSCRIBE", Keys(peer).published)], on_push=partial(self._hear, peer), on_lost=lost.set
        )
        try:
            while True:
                lost.clear()
                try:
                    await connection.ask(("PING",))
                except StoreUnavailable:
                    await asyncio.sleep(_RETRY_S)
                else:
                    await lost.wait()
        finally:
            connection.close()

    def _hear(self, peer: str, push: list[Any]) -> None:
        if peer in self._links.paused or push[0] != b"message":
            return
        found = decode_message(push[2])
        if found is not None:
            self.deliver(*found)


def encode_message(channel: bytes, message: bytes) -> bytes:
    """Return both as one string.

    >>> encode_message(b"news", b"hello")
    b'4:newshello'
    """
    return b"%d:%b%b" % (len(channel), channel, message)


def decode_message(payload: bytes) -> tuple[bytes, bytes] | None:
    """Return the channel and the message in `payload`; `None` for anything that `encode_message` does not make."""
    found = _LENGTH.match(payload)
    if found is None or int(found[1]) > len(payload) - found.end():
        return None
    end_of_channel = found.end() + int(found[1])
    return payload[found.end() : end_of_channel], payload[end_of_channel:]

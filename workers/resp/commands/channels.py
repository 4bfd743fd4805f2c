"""SUBSCRIBE, PUBLISH, PUBSUB and their like: messages reach all nodes, and PUBSUB tells of this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.commands.patterns import matches
from workers.resp.channels import Channels
from workers.resp.commands.rows import client_command, family
from workers.resp.encoding import NOTHING, Push

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.resp.context import Client

__all__ = ["COMMANDS"]


def _subscribing(kind: bytes, subscribe: Callable[[Channels, Client, bytes], None]) -> Any:
    def run(client: Client, args: list[bytes]) -> Any:
        client.services.announcer.follow()
        for name in args:
            subscribe(client.services.channels, client, name)
            client.say(Push([kind, name, client.subscriptions]))
        return NOTHING

    return run


def _unsubscribing(
    kind: bytes, held: Callable[[Client], set[bytes]], unsubscribe: Callable[[Channels, Client, bytes], None]
) -> Any:
    def run(client: Client, args: list[bytes]) -> Any:
        names = args or sorted(held(client))
        for name in names:
            unsubscribe(client.services.channels, client, name)
            client.say(Push([kind, name, client.subscriptions]))
        if not names:
            client.say(Push([kind, None, client.subscriptions]))
        return NOTHING

    return run


def _publish(client: Client, args: list[bytes]) -> int:
    client.services.broadcast(args[0], args[1])
    return client.services.channels.publish(args[0], args[1])


def _channels(client: Client, args: list[bytes]) -> list[bytes]:
    return [name for name in client.services.channels.listeners if not args or matches(args[0], name)]


def _numsub(client: Client, args: list[bytes]) -> list[bytes | int]:
    listeners = client.services.channels.listeners
    return [item for name in args for item in (name, len(listeners.get(name, ())))]


def _numpat(client: Client, _args: list[bytes]) -> int:
    return len(client.services.channels.by_pattern)


_FLAGS = "pubsub noscript loading stale"
_TOLD = "pubsub loading stale"

COMMANDS = (
    client_command(
        "pubsub",
        "SUBSCRIBE channel [channel ...]",
        -2,
        _FLAGS,
        _subscribing(b"subscribe", Channels.subscribe),
        "Listens to channels.",
        complexity="O(N) in the channels",
        settled=True,
        while_subscribed=True,
    ),
    client_command(
        "pubsub",
        "PSUBSCRIBE pattern [pattern ...]",
        -2,
        _FLAGS,
        _subscribing(b"psubscribe", Channels.subscribe_pattern),
        "Listens to the channels that match patterns.",
        complexity="O(N) in the patterns",
        settled=True,
        while_subscribed=True,
    ),
    client_command(
        "pubsub",
        "UNSUBSCRIBE [channel [channel ...]]",
        -1,
        _FLAGS,
        _unsubscribing(b"unsubscribe", lambda client: client.channels, Channels.unsubscribe),
        "Stops listening to channels; to all, if none is named.",
        complexity="O(N) in the channels",
        settled=True,
        while_subscribed=True,
    ),
    client_command(
        "pubsub",
        "PUNSUBSCRIBE [pattern [pattern ...]]",
        -1,
        _FLAGS,
        _unsubscribing(b"punsubscribe", lambda client: client.patterns, Channels.unsubscribe_pattern),
        "Stops listening to patterns; to all, if none is named.",
        complexity="O(N) in the patterns",
        settled=True,
        while_subscribed=True,
    ),
    client_command(
        "pubsub",
        "PUBLISH channel message",
        3,
        "pubsub loading stale fast",
        _publish,
        "Sends a message to who listens to a channel, at all connected nodes. Returns how many hear it at this one.",
        complexity="O(N+M) in the listeners and the patterns",
        settled=True,
        in_multi="queued",
    ),
    family(
        "pubsub",
        "PUBSUB",
        "Says who listens to what at this node.",
        (
            client_command(
                "pubsub",
                "PUBSUB|CHANNELS [pattern]",
                -2,
                _TOLD,
                _channels,
                "Returns the channels that somebody listens to.",
                complexity="O(N) in the channels",
            ),
            client_command(
                "pubsub", "PUBSUB|NUMPAT", 2, _TOLD, _numpat, "Returns how many patterns somebody listens to."
            ),
            client_command(
                "pubsub",
                "PUBSUB|NUMSUB [channel [channel ...]]",
                -2,
                _TOLD,
                _numsub,
                "Returns how many clients listen to each channel.",
                complexity="O(N) in the channels",
            ),
        ),
    ),
)

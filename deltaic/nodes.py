"""The nodes' addresses: URLs as redis-py reads them, and what redis-py is told about connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.connection import parse_url
from redis.exceptions import RedisError

from deltaic.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deltaic.options import ClientOptions

__all__ = ["named", "pool_options"]


def named(urls: str | Iterable[str]) -> dict[str, str]:
    """Return `urls` by the name of the node, `host:port` or the path of a socket, in their order.

    Raises `InvalidArgument` where there is none, one is no Redis URL, one names a database other than 0, or two are of
    one node. The error shows no password.

    >>> named(["redis://:s3cret@10.0.0.1:7201", "rediss://osaka.example:7201"])
    {'10.0.0.1:7201': 'redis://:s3cret@10.0.0.1:7201', 'osaka.example:7201': 'rediss://osaka.example:7201'}
    """
    nodes: dict[str, str] = {}
    for url in [urls] if isinstance(urls, str) else urls:
        name = _name(url)
        if name in nodes:
            raise InvalidArgument("urls", f"two are of the node at {name}")
        nodes[name] = url
    if not nodes:
        raise InvalidArgument("urls", "there are none")
    return nodes


def _name(url: str) -> str:
    try:
        parts: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError, RedisError):
        form = "redis://[user:password@]host:port, the same with rediss:// for TLS, or unix://path"
        raise InvalidArgument("urls", f"one is not of the form {form}") from None
    if parts.get("db", 0) != 0:
        raise InvalidArgument("urls", f"one names database {parts['db']}; a node has only database 0")
    return str(parts["path"]) if "path" in parts else f"{parts.get('host', 'localhost')}:{parts.get('port', 6379)}"


def pool_options(options: ClientOptions) -> dict[str, Any]:
    """Return the arguments of redis-py's connection pools, blocking and asyncio alike.

    redis-py itself repeats nothing, because it would repeat writes. It speaks version 2 of the protocol: with version 3
    redis-py hands out pooled connections without a look at whether they are closed, and a write that is sent on a
    closed one has an unknown outcome.
    """
    return {
        "max_connections": options.connections_max,
        "timeout": options.reply_timeout_s,
        "socket_connect_timeout": options.connect_timeout_s,
        "socket_timeout": options.reply_timeout_s,
        "protocol": 2,
    }

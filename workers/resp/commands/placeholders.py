"""SLOWLOG, LATENCY, ACL, MODULE, CLUSTER and their like: questions of client libraries that have one answer here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.commands import OK, ErrorReply
from workers.resp.commands.rows import client_command, family
from workers.resp.context import USER

if TYPE_CHECKING:
    from workers.resp.context import Client

__all__ = ["COMMANDS"]


def _nothing(_client: Client, _args: list[bytes]) -> list[Any]:
    return []


def _zero(_client: Client, _args: list[bytes]) -> int:
    return 0


def _done(_client: Client, _args: list[bytes]) -> Any:
    return OK


def _whoami(_client: Client, _args: list[bytes]) -> bytes:
    return USER


def _no_cluster(_client: Client, _args: list[bytes]) -> ErrorReply:
    return ErrorReply("ERR This instance has cluster support disabled")


_FLAGS = "admin noscript loading stale"
_NO_CLUSTER = "Is refused: no node is a shard of a Redis Cluster."

COMMANDS = (
    family(
        "server",
        "SLOWLOG",
        "Shows no slow commands: they are not kept.",
        (
            client_command("server", "SLOWLOG|GET [count]", -2, "admin loading stale", _nothing, "Returns nothing."),
            client_command("server", "SLOWLOG|LEN", 2, "admin loading stale", _zero, "Returns 0."),
            client_command("server", "SLOWLOG|RESET", 2, "admin loading stale", _done, "Has nothing to forget."),
        ),
    ),
    family(
        "server",
        "LATENCY",
        "Shows no latencies: they are not kept.",
        (
            client_command("server", "LATENCY|HISTORY event", 3, _FLAGS, _nothing, "Returns nothing."),
            client_command("server", "LATENCY|LATEST", 2, _FLAGS, _nothing, "Returns nothing."),
            client_command("server", "LATENCY|RESET [event [event ...]]", -2, _FLAGS, _zero, "Has nothing to forget."),
        ),
    ),
    family(
        "server",
        "ACL",
        "Shows the only user.",
        (client_command("server", "ACL|WHOAMI", 2, "noscript loading stale", _whoami, "Returns the only user."),),
    ),
    family(
        "server",
        "MODULE",
        "Shows no modules: there are none.",
        (client_command("server", "MODULE|LIST", 2, "admin noscript", _nothing, "Returns nothing."),),
    ),
    client_command(
        "cluster", "CLUSTER subcommand [argument ...]", -2, "", _no_cluster, _NO_CLUSTER, categories="", settled=True
    ),
    client_command("cluster", "READONLY", 1, "loading stale fast", _no_cluster, _NO_CLUSTER, settled=True),
    client_command("cluster", "READWRITE", 1, "loading stale fast", _no_cluster, _NO_CLUSTER, settled=True),
    client_command("cluster", "ASKING", 1, "fast", _no_cluster, _NO_CLUSTER, settled=True),
)

"""MULTI, EXEC, DISCARD, WATCH and UNWATCH: several commands as one commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.commands import OK, ErrorReply
from crdt_core.commands.command import ALL_KEYS
from workers.resp.commands.rows import client_command
from workers.resp.encoding import NOTHING
from workers.resp.large_reads import encoding
from workers.resp.read_budget import within_budget
from workers.resp.transaction import Transaction, Watch
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from workers.resp.context import Client

__all__ = ["COMMANDS"]


def _multi(client: Client, _args: list[bytes]) -> Any:
    if client.transaction is not None:
        return ErrorReply("ERR MULTI calls can not be nested")
    limits = client.services.limits
    client.transaction = Transaction(limits.message_bytes_max, limits.transaction_commands_max)
    return OK


def _exec(client: Client, _args: list[bytes]) -> Any:
    transaction = client.transaction
    if transaction is None:
        return ErrorReply("ERR EXEC without MULTI")
    watch = client.end_transaction()
    if transaction.spoiled:
        return ErrorReply("EXECABORT Transaction discarded because of previous errors.")
    encoded = [(encoding(command, resp3=client.resp3), args) for command, args in transaction.commands]
    commands = within_budget(encoded, client.services.limits)
    client.execute(commands, watch=watch, whole=True, muted=bool(client.mute), bytes_=transaction.bytes)
    return NOTHING


def _discard(client: Client, _args: list[bytes]) -> Any:
    if client.transaction is None:
        return ErrorReply("ERR DISCARD without MULTI")
    client.end_transaction()
    return OK


def _watch(client: Client, args: list[bytes]) -> Any:
    if client.transaction is not None:
        return ErrorReply("ERR WATCH inside MULTI is not allowed")
    if client.watch is None:
        client.watch = Watch()
    client.watch.add(args, client.services.node.state, wall_ms())
    client.services.announcer.watch(client.watch)
    return OK


def _unwatch(client: Client, _args: list[bytes]) -> Any:
    client.watch = None
    return OK


_FLAGS = "noscript loading stale fast allow_busy"

COMMANDS = (
    client_command(
        "transactions", "MULTI", 1, _FLAGS + " no_multi", _multi, "Begins a transaction.", in_multi="at once"
    ),
    client_command(
        "transactions",
        "EXEC",
        1,
        "noscript loading stale skip_commandlog",
        _exec,
        "Runs all commands of the transaction as one commit.",
        "At every node the commit shows whole or not at all; its writes merge as each command says.",
        "Depends on the commands.",
        in_multi="at once",
    ),
    client_command("transactions", "DISCARD", 1, _FLAGS, _discard, "Forgets the transaction.", in_multi="at once"),
    client_command(
        "transactions",
        "WATCH key [key ...]",
        -2,
        _FLAGS + " no_multi",
        _watch,
        "Makes the next EXEC fail if one of the keys changes or expires at this node first.",
        "Writes that this node has not heard of do not stop EXEC.",
        "O(N) in the keys",
        keys=ALL_KEYS,
        settled=True,
        in_multi="at once",
    ),
    client_command("transactions", "UNWATCH", 1, _FLAGS, _unwatch, "Watches no key.", in_multi="queued"),
)

"""The commands of Redis, as far as Deltaic has them, on replicated types."""

from __future__ import annotations

from crdt_core.commands.base import (
    OK,
    Command,
    CommandError,
    ErrorReply,
    Execute,
    Keyspace,
    Map,
    Pairs,
    Reply,
    Session,
    SetOf,
    Status,
    read,
)
from crdt_core.commands.expiry import DeleteExpired
from crdt_core.commands.policies import CommandOptions, Policies
from crdt_core.commands.table import COMMANDS, UNSUPPORTED, lookup

__all__ = [
    "COMMANDS",
    "OK",
    "UNSUPPORTED",
    "Command",
    "CommandError",
    "CommandOptions",
    "DeleteExpired",
    "ErrorReply",
    "Execute",
    "Keyspace",
    "Map",
    "Pairs",
    "Policies",
    "Reply",
    "Session",
    "SetOf",
    "Status",
    "lookup",
    "read",
]

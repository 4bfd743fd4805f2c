"""The command language of all faces, on replicated types: the commands of Redis that Deltaic has, and its own."""

from __future__ import annotations

from crdt_core.commands.command import Command
from crdt_core.commands.execution import Execute, read
from crdt_core.commands.expiry import DeleteExpired
from crdt_core.commands.invocation import Invocation
from crdt_core.commands.policies import CommandOptions, Policies
from crdt_core.commands.replies import OK, CommandError, ErrorReply, Map, Pairs, Reply, SetOf, Status
from crdt_core.commands.session import Keyspace, Session
from crdt_core.commands.table import COMMANDS, CommandTable

__all__ = [
    "COMMANDS",
    "OK",
    "Command",
    "CommandError",
    "CommandOptions",
    "CommandTable",
    "DeleteExpired",
    "ErrorReply",
    "Execute",
    "Invocation",
    "Keyspace",
    "Map",
    "Pairs",
    "Policies",
    "Reply",
    "Session",
    "SetOf",
    "Status",
    "read",
]

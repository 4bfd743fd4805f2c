"""Every command that a client can send: the plain ones of the core, and those that need the connection.

A family of commands is one module with its rows in `COMMANDS`, named once in `_FAMILIES`.
"""

from __future__ import annotations

from crdt_core.commands import COMMANDS, CommandTable
from workers.resp.commands import (
    channels,
    clients,
    config,
    fleet,
    greeting,
    introspection,
    placeholders,
    server,
    transactions,
    waiting,
)

__all__ = ["TABLE"]

_FAMILIES = (
    greeting,
    clients,
    introspection,
    server,
    config,
    placeholders,
    transactions,
    channels,
    waiting,
    fleet,
)

TABLE = CommandTable([*COMMANDS.values(), *(command for family in _FAMILIES for command in family.COMMANDS)])

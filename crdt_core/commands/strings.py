"""GET and its like."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crdt_core.commands.base import Command

__all__ = ["COMMANDS"]

COMMANDS: tuple[Command, ...] = ()

"""EWFlag and DWFlag: one slot that is written to enable.

To disable is to remove the write where a concurrent enable wins, and to write a winning tombstone where a concurrent
disable wins. Source: the flags are the sets of `crdt_core.types.sets` with one element that has no name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.types.contract import SLOT, CrdtType, Shape

if TYPE_CHECKING:
    from crdt_core.types.contract import View

__all__ = ["DWFLAG", "EWFLAG", "DWFlagType", "EWFlagType", "FlagType"]


class FlagType(CrdtType):
    """What both flags share. The part is the slot; its payload is `True`."""

    family = "flag"
    shape = Shape.SWITCH

    def value(self, view: View) -> bool:
        """Return whether the flag is enabled."""
        return view.shows(SLOT)


class EWFlagType(FlagType):
    """A flag where a concurrent enable wins over a disable."""

    name = "ewflag"


class DWFlagType(FlagType):
    """A flag where a concurrent disable wins over an enable. The payload of a disable is `WINNING_TOMBSTONE`."""

    name = "dwflag"
    removes_win = True


EWFLAG = EWFlagType()
DWFLAG = DWFlagType()

"""Says which machines were added under a name that another machine keeps, and what is left to do about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.membership.namesakes import ids_of_machine, namesakes

if TYPE_CHECKING:
    from collections.abc import Container

    from crdt_core.types.members import Members

__all__ = ["namesake_notes"]


def namesake_notes(members: Members, in_file: Container[str]) -> list[str]:
    """Return a note per such machine that has not gone on under its own name yet, or has and is not `in_file`."""
    notes = []
    for node, ids in namesakes(members).items():
        keeper = members.active.get(node)
        kept = f"{keeper} keeps the name" if keeper else "the machine that kept the name is no member any more"
        text = f"another machine was added as {node}, too, and {kept}; this one goes on under its own name"
        notes += [f"{id_}: {text}" for id_ in ids]
    for name in members.active:
        if ids_of_machine(members, name) and name not in in_file:
            remedy = f"call its section [nodes.{name}] in the fleet file of its machine"
            notes.append(f"{name} was added under a name that another machine keeps: {remedy}")
    return notes

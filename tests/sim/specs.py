"""What each type must show, as a comprehension over the acts that are visible and what each had seen.

The same rules as in `tests.crdt_core.types.test_specifications`, written from the published list of what concurrent
operations give: no siblings, no shares, no version vectors. An act that has seen another holds its bit in its past, so
"what some delete has seen" is one union of pasts, and a specification costs one look at each act.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.lattice.clocks import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.sim.history import Act, Deed

__all__ = ["NOTHING", "PREVAILING", "SPECS", "stamp_of"]

NOTHING: Any = object()
"""The result of a specification if the object does not show at all."""

PREVAILING = ("pncounter", "gcounter", "orset", "gset", "lwwregister", "mvregister", "ewflag")
"""The published order of types: the first that shows under a key prevails."""


def seen_by(acts: Iterable[Act]) -> int:
    """Return everything that any of `acts` has seen."""
    seen = 0
    for act in acts:
        seen |= act.past
    return seen


def deletes(acts: list[Act]) -> list[Act]:
    """Return the deletes among `acts`."""
    return [act for act in acts if act.deed.verb == "delete"]


def counter(acts: list[Act]) -> Any:
    """Sum the adds that no delete has seen, and for each outside owner the highest total that was told of it."""
    gone = seen_by(deletes(acts))
    added = [act.deed.argument for act in acts if act.deed.verb == "add" and not act.bit & gone]
    raised: dict[str, int] = {}
    for act in acts:
        if act.deed.verb == "raise":
            owner, total = act.deed.argument
            raised[owner] = max(total, raised.get(owner, 0))
    return sum(added) + sum(raised.values()) if added or raised else NOTHING


def observed_remove_set(acts: list[Act]) -> Any:
    """Return the elements with an add that no remove of that element and no delete has seen."""
    all_gone = seen_by(deletes(acts))
    gone: dict[bytes, int] = {}
    for act in acts:
        if act.deed.verb == "remove":
            gone[act.deed.argument] = gone.get(act.deed.argument, 0) | act.past
    elements = {
        act.deed.argument
        for act in acts
        if act.deed.verb == "add" and not act.bit & (all_gone | gone.get(act.deed.argument, 0))
    }
    return sorted(elements) if elements else NOTHING


def enable_wins_flag(acts: list[Act]) -> Any:
    """Return whether there is an enable that no disable and no delete has seen."""
    gone = seen_by(act for act in acts if act.deed.verb in {"disable", "delete"})
    return any(act.deed.verb == "enable" and not act.bit & gone for act in acts) or NOTHING


def multi_value_register(acts: list[Act]) -> Any:
    """Return the distinct values of the writes that no act has seen, by replica and then by commit."""
    gone = seen_by(acts)
    left = sorted((act.dot, act.deed.argument) for act in acts if act.deed.verb == "set" and not act.bit & gone)
    return list(dict.fromkeys(value for _, value in left)) or NOTHING


def last_writer_wins_register(acts: list[Act]) -> Any:
    """Return the value with the largest (stamp, dot) among the writes that no act has seen."""
    last = last_write(acts)
    return last.deed.argument if last else NOTHING


def last_write(acts: list[Act]) -> Act | None:
    """Return the write that shows, if any. A write without a stamp was older than what it saw, and has no effect."""
    effective = [act for act in acts if act.stamp is not None or act.deed.verb == "delete"]
    gone = seen_by(effective)
    writes = [act for act in effective if act.deed.verb != "delete" and not act.bit & gone]
    return max(writes, key=lambda act: (act.stamp or Stamp(0, 0), act.dot), default=None)


def stamp_of(deed: Deed, seen: list[Act]) -> Stamp | None:
    """Return the stamp of an LWW write: the one given, or now but later than what the write has seen.

    `None` if the write has no effect: the stamp given is older than what shows.
    """
    if deed.type != "lwwregister" or deed.stamp is None:
        return None
    last = last_write([act for act in seen if act.deed.type in {deed.type, ""}])
    newest = last.stamp if last else None
    if deed.verb == "set_at":
        return None if newest and deed.stamp < newest else deed.stamp
    return max(deed.stamp, Stamp(newest.ms, newest.logical + 1)) if newest else deed.stamp


SPECS: dict[str, Callable[[list[Act]], Any]] = {
    "pncounter": counter,
    "gcounter": counter,
    "orset": observed_remove_set,
    "gset": observed_remove_set,
    "lwwregister": last_writer_wins_register,
    "mvregister": multi_value_register,
    "ewflag": enable_wins_flag,
}

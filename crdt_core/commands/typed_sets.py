"""DELTAIC.SET.ADD and its family: sets whose kind the caller names, whatever the policies say.

SADD makes the kind of set that the policies say. These commands make an `orset` (add wins), or the kind that they name:
a `gset` only grows, in an `rwset` a remove wins over a concurrent add. A set that is there keeps its kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.command import KEY, Command
from crdt_core.commands.kinds import Kinds, key_text, parse_options
from crdt_core.commands.replies import Map
from crdt_core.errors import WrongType
from crdt_core.lattice.siblings import shows
from crdt_core.types import GSET, ORSET, RWSET

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session

__all__ = ["COMMANDS"]

_KINDS = Kinds(ORSET, GSET, RWSET)


def _add(session: Session, args: list[bytes]) -> Reply:
    """Whether the element was absent. A set that can also shrink records the add in either case: it is a new write."""
    key, element = args[0], args[1]
    wanted = _KINDS.parse(parse_options(args[2:], b"KIND"))
    found = session.take(key)
    type_ = _KINDS.resolve(found, wanted, ORSET)
    absent = found is None or not shows(found.get(element))
    if absent or not type_.grow_only:
        session.replica.write(key, type_, element, True)
    return int(absent)


def _remove(session: Session, args: list[bytes]) -> Reply:
    """Whether the element was there. Where removes win, the removal of an absent element is a write, too.

    So a set of such a kind, if the caller names it, need not be there either.
    """
    key, element = args[0], args[1]
    wanted = _KINDS.parse(parse_options(args[2:], b"KIND"))
    found = session.take(key)
    type_ = _KINDS.resolve(found, wanted, ORSET)
    if found is None and not type_.removes_win:
        return 0
    there = found is not None and shows(found.get(element))
    if type_.grow_only:
        raise WrongType(key_text(key), type_.name, ORSET.name, "nothing can be removed from a grow-only set")
    session.take_out(key, type_, element)
    return int(there)


def _get(session: Session, args: list[bytes]) -> Reply:
    found = _KINDS.check(session.find(args[0]))
    if found is None:
        return None
    members = found.type.value(session.view(found))
    session.must_fit_reply(members)
    return Map([(b"kind", found.type.encoded_name), (b"members", members)])


COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "deltaic",
        "DELTAIC.SET.ADD key element [KIND kind]",
        -3,
        KEY,
        "write denyoom fast",
        _add,
        "Adds to a set of a kind: gset, rwset, or orset for a new one.",
        "An add wins over a concurrent remove, except where removes win (rwset).",
        since="0.2.0",
    ),
    Command(
        "deltaic",
        "DELTAIC.SET.REMOVE key element [KIND kind]",
        -3,
        KEY,
        "write denyoom fast",
        _remove,
        "Removes the element if this node has seen it; in an rwset, also if not.",
        "A concurrent add wins, except where removes win (rwset).",
        since="0.2.0",
    ),
    Command(
        "deltaic",
        "DELTAIC.SET.GET key",
        2,
        KEY,
        "readonly",
        _get,
        "Returns the kind and the sorted members of a set.",
        "",
        "O(n log n) where n is the number of members",
        since="0.2.0",
        heavy=True,
    ),
)

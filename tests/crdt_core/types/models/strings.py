"""The model of strings: set whole, and counted on top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from crdt_core.lattice.siblings import ObservedReset
from crdt_core.types import SLOT, STRING
from crdt_core.types.counters import Share
from crdt_core.types.strings import set_whole
from tests.crdt_core.types.models.model import DELETE, NOTHING, Example, Model, seen_by
from tests.crdt_core.types.models.payloads import ENCODED_NAMES, STAMPED, shares
from tests.crdt_core.types.models.registers import STAMPED_EXAMPLES, STAMPED_MALFORMED, effective_stamp, last_write

if TYPE_CHECKING:
    from crdt_core.types import View
    from crdt_core.types.contract import PartWrite
    from tests.crdt_core.types.models.model import Act, Operation

__all__ = ["MODELS", "VALUES", "counted_value"]

VALUES = (b"7", b"-2", b"x")


def counted_value(acts: list[Act]) -> Any:
    """Return what was last set, with the adds on top that no set and no delete has seen, if that is an integer.

    Where nothing was set the adds alone show.
    """
    writes = [act for act in acts if act.verb != "add"]
    gone = seen_by(writes)
    counted = [act.argument for act in acts if act.verb == "add" and not act.bit & gone]
    last = last_write(writes)
    if last is None:
        return b"%d" % sum(counted) if counted else NOTHING
    text: bytes = last.argument
    return b"%d" % (int(text) + sum(counted)) if text.lstrip(b"-").isdigit() else text


class StringModel(Model):
    """A string."""

    type = STRING
    verbs = (
        ("set", lambda choices: choices.choice(VALUES)),
        ("add", lambda choices: choices.randint(-3, 9)),
    )
    parts = st.sampled_from((SLOT, *ENCODED_NAMES))
    payloads = st.one_of(shares(), STAMPED)
    examples = (
        *STAMPED_EXAMPLES,
        Example("n1", [15, 3], Share(15, 3)),
        Example("n2", [15, 3, 5, 0], Share(15, 3, 5, 0)),
        Example("n1", {"spent": [15, 3]}, ObservedReset(15, 3)),
    )
    malformed = (
        *STAMPED_MALFORMED,
        ("the share of nobody", {"b64": "/w=="}, [1, 0]),
        ("a share cut short", "n1", [1]),
    )

    def writes(self, view: View, replica: str, operation: Operation) -> list[PartWrite]:
        if operation.verb == "set":
            return set_whole(view, operation.argument, operation.time)
        return STRING.add_amount(view, replica.encode(), operation.argument, operation.time)

    def effect(self, operation: Operation, seen: list[Act]) -> Any:
        """The stamp of a set, from the sets that it has seen."""
        return effective_stamp(operation, _without_adds(seen)) if operation.verb not in (DELETE, "add") else None

    def value(self, acts: list[Act]) -> Any:
        return counted_value(acts)


def _without_adds(acts: list[Act]) -> list[Act]:
    return [act for act in acts if act.verb != "add"]


MODELS = (StringModel(),)

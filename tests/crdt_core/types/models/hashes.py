"""The model of hashes: every field is a string of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from crdt_core.lattice.siblings import ObservedReset
from crdt_core.types import HASH
from crdt_core.types.counters import Share, add_to_share
from crdt_core.types.hashes import remove_field, set_field, share_part, slot_part
from crdt_core.types.registers import Stamped
from tests.crdt_core.types.models.model import DELETE, NOTHING, Example, Model
from tests.crdt_core.types.models.payloads import BYTES, STAMPED, float_shares, shares
from tests.crdt_core.types.models.registers import effective_stamp
from tests.crdt_core.types.models.strings import FLOAT_EXAMPLES, FLOAT_MALFORMED, VALUES, amount, counted_value

if TYPE_CHECKING:
    from crdt_core.types import View
    from crdt_core.types.contract import PartWrite
    from tests.crdt_core.types.models.model import Act, Choices, Operation


def _field(choices: Choices) -> bytes:
    return choices.choice((b"f", b"\0", b"f\0n1"))


def _field_of(operation: Operation) -> bytes:
    """Return the field that an operation is about."""
    field: bytes = operation.argument if operation.verb == "remove" else operation.argument[0]
    return field


def _on_field(acts: list[Act], field: bytes) -> list[Act]:
    """Return what was done to one field, told as if the field were a string."""
    found = []
    for act in acts:
        if act.verb == DELETE:
            found.append(act)
        elif _field_of(act.operation) == field:
            told = act.operation._replace(verb=DELETE) if act.verb == "remove" else act.operation
            argument = None if act.verb == "remove" else act.argument[1]
            found.append(act._replace(operation=told._replace(argument=argument)))
    return found


class HashModel(Model):
    """A hash."""

    type = HASH
    verbs = (
        ("set", lambda choices: (_field(choices), choices.choice(VALUES))),
        ("add", lambda choices: (_field(choices), amount(choices))),
        ("remove", _field),
    )
    parts = st.builds(
        lambda field, share: slot_part(field) + share, BYTES, st.sampled_from([b"", b"\0n1", b"\0n2", b"\0n1.2-a"])
    )
    payloads = st.one_of(shares(), float_shares(), STAMPED)
    examples = (
        Example("a", ["v", 5, 1], Stamped(b"v", 5, 1)),
        Example({"b64": "/w=="}, ["8", 7, 0], Stamped(b"8", 7)),
        Example("a\0\0b\0n1", [15, 3, 5, 0], Share(15, 3, 5, 0)),
        Example("a\0n2", {"spent": [15, 3]}, ObservedReset(15, 3)),
        *(Example("a\0n3", json, payload) for json, payload in FLOAT_EXAMPLES),
    )
    malformed = (
        ("the share of a replica without a name", "a\0", [1, 0]),
        ("a field with single zero bytes", "a\0b\0n1", [1, 0]),
        ("a stamp that is no integer", "a", ["v", 1.0, 0]),
        *((fault, "a\0n1", json) for fault, json in FLOAT_MALFORMED),
    )

    def writes(self, view: View, replica: str, operation: Operation) -> list[PartWrite]:
        slot = slot_part(_field_of(operation))
        if operation.verb == "set":
            return set_field(view, slot, operation.argument[1], operation.time)
        if operation.verb == "remove":
            return remove_field(view, slot)
        part = share_part(slot, replica)
        return [(part, add_to_share(view.parts.get(part), operation.argument[1]))]

    def effect(self, operation: Operation, seen: list[Act]) -> Any:
        """The stamp of a set, from the sets of the same field that it has seen."""
        if operation.verb != "set":
            return None
        writes = [act for act in _on_field(seen, _field_of(operation)) if act.verb != "add"]
        return effective_stamp(operation, writes)

    def value(self, acts: list[Act]) -> Any:
        """Every field that shows as a string of its own would."""
        fields = sorted({_field_of(act.operation) for act in acts if act.verb != DELETE})
        values = {field: counted_value(_on_field(acts, field)) for field in fields}
        return {field: value for field, value in values.items() if value is not NOTHING} or NOTHING


MODELS = (HashModel(),)

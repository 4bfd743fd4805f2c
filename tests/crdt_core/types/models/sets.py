"""The models of the sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from crdt_core.lattice.siblings import WINNING_TOMBSTONE
from crdt_core.types import GSET, ORSET, RWSET
from tests.crdt_core.types.models.model import DELETE, NOTHING, Example, Model, deletes, one, seen_by
from tests.crdt_core.types.models.payloads import BYTES, ELEMENTS

if TYPE_CHECKING:
    from crdt_core.types import CrdtType, View
    from crdt_core.types.contract import PartWrite
    from tests.crdt_core.types.models.model import Act, Choices, Operation


def _element(choices: Choices) -> bytes:
    return choices.choice(ELEMENTS)


class SetModel(Model):
    """Sets where adds win, or where nothing is removed."""

    parts = BYTES
    payloads = st.just(True)
    examples = (Example("apple", True, True), Example({"b64": "/w=="}, True, True), Example("", True, True))
    malformed = (
        ("a member that is one", "a", 1),
        ("a member that is no text", 1, True),
        ("a member that is no base64", {"b64": "?"}, True),
    )

    def __init__(self, type_: CrdtType, *verbs: str) -> None:
        self.type = type_
        self.verbs = tuple((verb, _element) for verb in verbs)

    def writes(self, view: View, replica: str, operation: Operation) -> list[PartWrite]:  # noqa: ARG002
        if operation.verb == "add":
            return [(operation.argument, True)]
        return one(self.type.take_out(view, operation.argument))

    def value(self, acts: list[Act]) -> Any:
        """The elements with an add that no remove of that element and no delete has seen."""
        all_gone = seen_by(deletes(acts))
        gone: dict[bytes, int] = {}
        for act in acts:
            if act.verb == "remove":
                gone[act.argument] = gone.get(act.argument, 0) | act.past
        elements = {
            act.argument for act in acts if act.verb == "add" and not act.bit & (all_gone | gone.get(act.argument, 0))
        }
        return sorted(elements) if elements else NOTHING


class AddWinsModel(SetModel):
    """Sets that know no winning tombstone."""

    malformed = (*SetModel.malformed, ("a member that is false", "a", False))


class RemoveWinsModel(SetModel):
    """A set where removes win."""

    payloads = st.booleans()
    examples = (*SetModel.examples, Example("eve", False, WINNING_TOMBSTONE))

    def effect(self, operation: Operation, seen: list[Act]) -> Any:
        """Whether a delete came where anything showed. One that did not does nothing."""
        return operation.verb == DELETE and self.value(seen) is not NOTHING

    def value(self, acts: list[Act]) -> Any:
        """The elements with an add, and without a remove, that nothing later has seen: no add or remove of the element,
        and no delete that did anything.
        """
        all_gone = seen_by(act for act in deletes(acts) if act.effect)
        gone: dict[bytes, int] = {}
        for act in acts:
            if act.verb != DELETE:
                gone[act.argument] = gone.get(act.argument, 0) | act.past
        standing = [act for act in acts if act.verb != DELETE and not act.bit & (all_gone | gone[act.argument])]
        added = {act.argument for act in standing if act.verb == "add"}
        return sorted(added - {act.argument for act in standing if act.verb == "remove"}) or NOTHING


MODELS = (AddWinsModel(ORSET, "add", "remove"), AddWinsModel(GSET, "add"), RemoveWinsModel(RWSET, "add", "remove"))

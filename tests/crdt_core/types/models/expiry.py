"""The model of deadlines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from crdt_core.lattice.clocks import Dot
from crdt_core.types import EXPIRY, SLOT
from crdt_core.types.expiry import CARRIED, PERSISTED, Until
from tests.crdt_core.types.models.model import NOTHING, Example, Model, deletes, seen_by
from tests.crdt_core.types.models.payloads import NAMES

if TYPE_CHECKING:
    from crdt_core.types import View
    from crdt_core.types.contract import PartWrite
    from tests.crdt_core.types.models.model import Act, Choices, Operation


def _until(choices: Choices) -> Until:
    return Until(choices.choice((1, 2, PERSISTED)), choices.choice((None, Dot("n1", 1))))


class ExpiryModel(Model):
    """The deadlines of a key."""

    type = EXPIRY
    verbs = (("until", _until), ("carry", _until))
    parts = st.sampled_from((SLOT, CARRIED))
    payloads = st.builds(
        Until,
        st.integers(0, PERSISTED),
        st.one_of(st.none(), st.builds(Dot, st.sampled_from(NAMES), st.integers(1, 2**49))),
    )
    examples = (
        Example("", [5], Until(5)),
        Example("", [5, "n1", 7], Until(5, Dot("n1", 7))),
        Example("", [PERSISTED], Until(PERSISTED)),
        Example("carried", [6, "n2", 7], Until(6, Dot("n2", 7))),
    )
    malformed = (
        ("a deadline below zero", "", [-1]),
        ("a deadline later than for ever", "", [PERSISTED + 1]),
        ("a deadline that is true", "", [True]),
        ("a deadline of half a dot", "", [5, "n1"]),
        ("a deadline of a dot of nobody", "", [5, "n 1", 7]),
        ("a second slot", "a", [5]),
    )

    def writes(self, view: View, replica: str, operation: Operation) -> list[PartWrite]:  # noqa: ARG002
        return [(SLOT if operation.verb == "until" else CARRIED, operation.argument)]

    def value(self, acts: list[Act]) -> Any:
        """All deadlines that nothing of their kind, and no delete, has seen; those that were carried last."""
        found = []
        for verb in ("until", "carry"):
            told = [act for act in acts if act.verb == verb]
            gone = seen_by([*told, *deletes(acts)])
            held = {act.argument for act in told if not act.bit & gone}
            found += sorted(held, key=lambda until: (until.deadline_ms, until.of or Dot("", 0)))
        return found or NOTHING


MODELS = (ExpiryModel(),)

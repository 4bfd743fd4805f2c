"""The models of the counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from crdt_core.lattice.siblings import ObservedReset
from crdt_core.types import GCOUNTER, PNCOUNTER
from crdt_core.types.counters import Share, adjust
from tests.crdt_core.types.models.model import NOTHING, Example, Model, deletes, seen_by
from tests.crdt_core.types.models.payloads import ENCODED_NAMES, shares

if TYPE_CHECKING:
    from crdt_core.types import CrdtType, View
    from crdt_core.types.contract import PartWrite
    from tests.crdt_core.types.models.model import Act, Operation


class CounterModel(Model):
    """Both counters. `least` is the least amount that is added."""

    parts = st.sampled_from(ENCODED_NAMES)
    malformed = (
        ("the share of nobody", {"b64": "/w=="}, [1, 0]),
        ("the share of a replica without a name", "", [1, 0]),
        ("a share cut short", "n1", [1]),
        ("a share below zero", "n1", [1, -1]),
        ("a share that is true", "n1", [True, 0]),
        ("a share that spent more than it has", "n1", [1, 0, 2, 0]),
        ("a small total as text", "n1", ["5", 0]),
        ("a total beyond reach", "n1", ["9" * 41, 0]),
        ("a total that is a fraction", "n1", ["0x15p-1", 0]),
    )

    def __init__(self, type_: CrdtType, least: int) -> None:
        self.type = type_
        self.verbs = (("add", lambda choices: choices.randint(least, 9)),)

    def writes(self, view: View, replica: str, operation: Operation) -> list[PartWrite]:
        return [adjust(view, replica.encode(), operation.argument)]

    def value(self, acts: list[Act]) -> Any:
        """The sum of the adds that no delete has seen, and the most that the share of each outsider was raised to.

        A share is only ever raised where nothing is deleted.
        """
        gone = seen_by(deletes(acts))
        added = [act.argument for act in acts if act.verb == "add" and not act.bit & gone]
        raised: dict[str, int] = {}
        for owner, total in [act.argument for act in acts if act.verb == "raise"]:
            raised[owner] = max(total, raised.get(owner, 0))
        return sum(added) + sum(raised.values()) if added or raised else NOTHING


class PNCounterModel(CounterModel):
    """A counter that grows and shrinks."""

    payloads = shares()
    examples = (
        Example("n1", [15, 3], Share(15, 3)),
        Example("n2", [15, 3, 5, 0], Share(15, 3, 5, 0)),
        Example("n1", {"spent": [15, 3]}, ObservedReset(15, 3)),
        Example("n2", ["9223372036854775808", 0], Share(2**63, 0)),
    )


class GCounterModel(CounterModel):
    """A counter that only grows."""

    payloads = shares(st.just(0))
    examples = (
        Example("n1", [15, 0], Share(15, 0)),
        Example("n2", {"spent": [5, 0]}, ObservedReset(5, 0)),
        Example("n1", ["9223372036854775808", 0, 5, 0], Share(2**63, 0, 5, 0)),
    )
    malformed = (
        *CounterModel.malformed,
        ("a grow-only counter that shrinks", "n1", [5, 1]),
        ("a grow-only counter that shrank", "n1", {"spent": [5, 1]}),
    )


MODELS = (PNCounterModel(PNCOUNTER, least=-3), GCounterModel(GCOUNTER, least=0))

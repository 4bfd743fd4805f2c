"""The model of the HyperLogLog. What a register must hold is worked out here; the estimate is that of Redis itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from crdt_core.types.hyperloglogs import HYPERLOGLOG, estimate
from tests.crdt_core.types.models.model import NOTHING, Example, Model, deletes, seen_by

if TYPE_CHECKING:
    from crdt_core.types import View
    from crdt_core.types.contract import PartWrite
    from tests.crdt_core.types.models.model import Act, Choices, Operation

PLACES = {b"a": (12711, 2), b"b": (15780, 1), b"0": (13225, 4), b"i2150": (12711, 1), b"i130523": (12711, 4)}
"""Elements with their register and rank, as Redis has them. Three share a register."""


def _elements(choices: Choices) -> tuple[bytes, ...]:
    return tuple(choices.choice(tuple(PLACES)) for _ in range(choices.randint(0, 2)))


class HyperLogLogModel(Model):
    """Registers that only rise, until a delete takes away what it saw of them."""

    type = HYPERLOGLOG
    verbs = (("add", _elements),)
    parts = st.one_of(st.just(b""), st.integers(0, 16383).map(lambda register: b"%d" % register))
    payloads = st.integers(0, 51)
    examples = (Example("12711", 2, 2), Example("0", 51, 51), Example("", 0, 0))
    malformed = (
        ("a register that is one too many", "16384", 1),
        ("a register with a leading zero", "07", 1),
        ("a register that is no number", "x", 1),
        ("a rank that is too large", "7", 52),
        ("a rank that is negative", "7", -1),
        ("a rank that is true", "7", True),
    )

    def writes(self, view: View, replica: str, operation: Operation) -> list[PartWrite]:  # noqa: ARG002
        return HYPERLOGLOG.add(view, operation.argument) or [(b"", 0)]

    def effect(self, operation: Operation, seen: list[Act]) -> Any:
        """The ranks that an add writes: those of its elements, or the larger ones that it sees."""
        shown = _registers(seen)
        ranks: dict[int, int] = {}
        for element in operation.argument or ():
            register, rank = PLACES[element]
            ranks[register] = max(rank, ranks.get(register, 0), shown.get(register, 0))
        return ranks

    def value(self, acts: list[Act]) -> Any:
        """The estimate for the largest rank of each register, over the adds that no delete has seen."""
        gone = seen_by(deletes(acts))
        if not any(act.verb == "add" and not act.bit & gone for act in acts):
            return NOTHING
        return estimate(_registers(acts).values())


def _registers(acts: list[Act]) -> dict[int, int]:
    gone = seen_by(deletes(acts))
    ranks: dict[int, int] = {}
    for act in acts:
        if act.verb == "add" and not act.bit & gone:
            for register, rank in act.effect.items():
                ranks[register] = max(rank, ranks.get(register, 0))
    return ranks


MODELS = (HyperLogLogModel(),)

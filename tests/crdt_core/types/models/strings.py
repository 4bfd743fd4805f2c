"""The model of strings: set whole, and counted on top."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from crdt_core.lattice.siblings import ObservedReset
from crdt_core.types import SLOT, STRING
from crdt_core.types.counters import Share, add_to_share, share_of
from crdt_core.types.numbers import add_shown
from crdt_core.types.strings import set_whole, string_exact
from tests.crdt_core.types.models.model import DELETE, NOTHING, Example, Model, seen_by
from tests.crdt_core.types.models.payloads import ENCODED_NAMES, STAMPED, float_shares, shares
from tests.crdt_core.types.models.registers import STAMPED_EXAMPLES, STAMPED_MALFORMED, effective_stamp, last_write

if TYPE_CHECKING:
    from crdt_core.types import View
    from crdt_core.types.contract import PartWrite
    from tests.crdt_core.types.models.model import Act, Choices, Operation

__all__ = ["FLOAT_EXAMPLES", "FLOAT_MALFORMED", "MODELS", "VALUES", "amount", "counted_value"]

VALUES = (b"7", b"-2", b"x", b"1.5")

FLOAT_EXAMPLES = (
    (["0x15p-1", 0], share_of(Fraction(21, 2), 0, 0, 0)),
    ([3, "0x1p140", 3, 0], share_of(3, 2**140, 3, 0)),
    ({"spent": ["0x3p-120", 7]}, ObservedReset(Fraction(3, 2**120), 7)),  # type: ignore[arg-type]
)
"""Shares that only INCRBYFLOAT leads to, as JSON values and as payloads."""

FLOAT_MALFORMED = (
    ("a fraction in decimals", ["10.5", 0]),
    ("a fraction with an even numerator", ["0x2p-1", 0]),
    ("a fraction of nothing", ["0x0p-1", 0]),
    ("a small integer as a fraction", ["0x5p0", 0]),
    ("a fraction that is too small", ["0x1p-121", 0]),
    ("a total beyond reach", ["0x1p16512", 0]),
)


def amount(choices: Choices) -> Fraction | int:
    """Return an amount to add: an integer, or a fraction that a float holds exactly however it is added."""
    return choices.choice((-3, 0, 1, 9, Fraction(1, 2), Fraction(-1, 4), Fraction(1, 1024)))


def counted_value(acts: list[Act]) -> Any:
    """Return what was last set, with the adds on top that no set and no delete has seen, if that is an integer.

    Where nothing was set the adds alone show.
    """
    writes = [act for act in acts if act.verb != "add"]
    gone = seen_by(writes)
    counted = [act.argument for act in acts if act.verb == "add" and not act.bit & gone]
    last = last_write(writes)
    if last is None:
        return _shown(Fraction(sum(counted))) if counted else NOTHING
    text: bytes = last.argument
    return _shown(Fraction(text.decode()) + sum(counted)) if counted and text != b"x" else text


def _shown(number: Fraction) -> bytes:
    text = format(Decimal(number.numerator) / Decimal(number.denominator), "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text).encode()


class StringModel(Model):
    """A string."""

    type = STRING
    verbs = (
        ("set", lambda choices: choices.choice(VALUES)),
        ("add", amount),
    )
    parts = st.sampled_from((SLOT, *ENCODED_NAMES))
    payloads = st.one_of(shares(), float_shares(), STAMPED)
    examples = (
        *STAMPED_EXAMPLES,
        Example("n1", [15, 3], Share(15, 3)),
        Example("n2", [15, 3, 5, 0], Share(15, 3, 5, 0)),
        Example("n1", {"spent": [15, 3]}, ObservedReset(15, 3)),
        *(Example("n3", json, payload) for json, payload in FLOAT_EXAMPLES),
    )
    malformed = (
        *STAMPED_MALFORMED,
        ("the share of nobody", {"b64": "/w=="}, [1, 0]),
        ("a share cut short", "n1", [1]),
        *((fault, "n1", json) for fault, json in FLOAT_MALFORMED),
    )

    def writes(self, view: View, replica: str, operation: Operation) -> list[PartWrite]:
        if operation.verb == "set":
            return set_whole(view, operation.argument, operation.time)
        part = replica.encode()
        if operation.argument.denominator == 1:
            return STRING.add_amount(view, part, operation.argument, operation.time)
        exact = string_exact(view.parts, view.replica_index)
        growth = operation.argument if exact is None else add_shown(exact, operation.argument)[1]
        return [(part, add_to_share(view.parts.get(part), growth))]

    def effect(self, operation: Operation, seen: list[Act]) -> Any:
        """The stamp of a set, from the sets that it has seen."""
        return effective_stamp(operation, _without_adds(seen)) if operation.verb not in (DELETE, "add") else None

    def value(self, acts: list[Act]) -> Any:
        return counted_value(acts)


def _without_adds(acts: list[Act]) -> list[Act]:
    return [act for act in acts if act.verb != "add"]


MODELS = (StringModel(),)

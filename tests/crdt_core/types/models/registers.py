"""The models of the registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from crdt_core.lattice.clocks import Stamp
from crdt_core.types import LWWREGISTER, MVREGISTER, SLOT
from crdt_core.types.registers import Stamped, set_at, set_now
from tests.crdt_core.types.models.model import DELETE, NOTHING, Example, Model, one, seen_by
from tests.crdt_core.types.models.payloads import ELEMENTS, STAMPED

if TYPE_CHECKING:
    from crdt_core.types import View
    from crdt_core.types.contract import PartWrite
    from tests.crdt_core.types.models.model import Act, Choices, Operation

__all__ = ["MODELS", "STAMPED_EXAMPLES", "STAMPED_MALFORMED", "effective_stamp", "last_write"]

STAMPED_EXAMPLES = (
    Example("", ["v", 5, 1], Stamped(b"v", 5, 1)),
    Example("", ["v", -1, 0], Stamped(b"v", -1)),
    Example("", [{"b64": "/w=="}, 2**63 - 1, 7], Stamped(b"\xff", 2**63 - 1, 7)),
)
STAMPED_MALFORMED = (
    ("a stamp beyond 64 bits", "", ["v", 2**63, 0]),
    ("a stamp that is no integer", "", ["v", 1.0, 0]),
    ("a logical time below zero", "", ["v", 1, -1]),
)


def last_write(acts: list[Act]) -> Act | None:
    """Return the write with the largest (stamp, dot) among those that nothing has seen; `None` if there is none.

    A write without an effective stamp came too late to count.
    """
    effective = [act for act in acts if act.effect is not None or act.verb == DELETE]
    gone = seen_by(effective)
    writes = [act for act in effective if act.verb != DELETE and not act.bit & gone]
    return max(writes, key=lambda act: (act.effect, act.dot), default=None)


def effective_stamp(operation: Operation, seen: list[Act]) -> Stamp | None:
    """Return the stamp of a write: as given, or now but after what it has seen; `None` if it came too late to count."""
    last = last_write(seen)
    if operation.verb == "set_at":
        return None if last and operation.time < last.effect else operation.time
    return max(operation.time, Stamp(last.effect.ms, last.effect.logical + 1)) if last else operation.time


def _element(choices: Choices) -> bytes:
    return choices.choice(ELEMENTS)


class LastWriterWinsModel(Model):
    """A register where the last writer wins."""

    type = LWWREGISTER
    verbs = (("set", _element), ("set_at", _element))
    timed = frozenset({"set_at"})
    parts = st.just(SLOT)
    payloads = STAMPED
    examples = STAMPED_EXAMPLES
    malformed = (*STAMPED_MALFORMED, ("a value without a stamp", "", "v"), ("a second slot", "a", ["v", 1, 0]))

    def writes(self, view: View, replica: str, operation: Operation) -> list[PartWrite]:  # noqa: ARG002
        if operation.verb == "set_at":
            return one(set_at(view, operation.argument, operation.time.ms))
        return [set_now(view, operation.argument, operation.time)]

    def effect(self, operation: Operation, seen: list[Act]) -> Any:
        return None if operation.verb == DELETE else effective_stamp(operation, seen)

    def value(self, acts: list[Act]) -> Any:
        """Among the writes that nothing has seen, the value of the one with the largest (stamp, replica)."""
        last = last_write(acts)
        return last.argument if last else NOTHING


class MultiValueModel(Model):
    """A register that keeps all concurrent values."""

    type = MVREGISTER
    verbs = (("set", _element),)
    parts = st.just(SLOT)
    payloads = STAMPED
    examples = (*STAMPED_EXAMPLES, Example("", "né", Stamped("né".encode(), 0)))
    malformed = (*STAMPED_MALFORMED, ("a value that is no text", "", 5), ("a second slot", {"b64": "/w=="}, "v"))

    def writes(self, view: View, replica: str, operation: Operation) -> list[PartWrite]:  # noqa: ARG002
        return [set_now(view, operation.argument, operation.time)]

    def value(self, acts: list[Act]) -> Any:
        """The distinct values of the writes that nothing has seen, by replica and then by commit."""
        gone = seen_by(acts)
        left = sorted((act.dot, act.argument) for act in acts if act.verb == "set" and not act.bit & gone)
        return list(dict.fromkeys(value for _, value in left)) or NOTHING


MODELS = (LastWriterWinsModel(), MultiValueModel())

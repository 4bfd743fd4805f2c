"""The models of the flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from crdt_core.lattice.siblings import WINNING_TOMBSTONE
from crdt_core.types import DWFLAG, EWFLAG, SLOT
from tests.crdt_core.types.models.model import DELETE, NOTHING, Example, Model, one, seen_by

if TYPE_CHECKING:
    from crdt_core.types import View
    from crdt_core.types.contract import PartWrite
    from tests.crdt_core.types.models.model import Act, Choices, Operation


def _nothing(_choices: Choices) -> None:
    return None


class FlagModel(Model):
    """Both flags."""

    verbs = (("enable", _nothing), ("disable", _nothing))
    parts = st.just(SLOT)
    malformed = (("a flag with a second slot", "a", True), ("a flag that is one", "", 1))

    def writes(self, view: View, replica: str, operation: Operation) -> list[PartWrite]:  # noqa: ARG002
        return [(SLOT, True)] if operation.verb == "enable" else one(self.type.take_out(view, SLOT))


class EnableWinsModel(FlagModel):
    """A flag where enabling wins."""

    type = EWFLAG
    payloads = st.just(True)
    examples = (Example("", True, True),)
    malformed = (*FlagModel.malformed, ("a flag that is false", "", False))

    def value(self, acts: list[Act]) -> Any:
        """Enabled if there is an enable that no disable and no delete has seen."""
        gone = seen_by(act for act in acts if act.verb != "enable")
        return any(act.verb == "enable" and not act.bit & gone for act in acts) or NOTHING


class DisableWinsModel(FlagModel):
    """A flag where disabling wins."""

    type = DWFLAG
    payloads = st.booleans()
    examples = (Example("", True, True), Example("", False, WINNING_TOMBSTONE))

    def effect(self, operation: Operation, seen: list[Act]) -> Any:
        """Whether a delete came where anything showed. One that did not does nothing."""
        return operation.verb == DELETE and self.value(seen) is not NOTHING

    def value(self, acts: list[Act]) -> Any:
        """Enabled if whatever nothing later has seen is all to enable."""
        effective = [act for act in acts if act.verb != DELETE or act.effect]
        gone = seen_by(effective)
        standing = {act.verb for act in effective if not act.bit & gone}
        return ("enable" in standing and "disable" not in standing) or NOTHING


MODELS = (EnableWinsModel(), DisableWinsModel())

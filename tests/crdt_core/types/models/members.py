"""The model of the facts about the fleet, as an object like any other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from crdt_core.types import MEMBERS
from crdt_core.types.members import Fact, Members, Standing
from tests.crdt_core.types.models.model import DELETE, NOTHING, Example, Model, deletes, seen_by
from tests.crdt_core.types.models.payloads import NAMES

if TYPE_CHECKING:
    from crdt_core.types import View
    from crdt_core.types.contract import PartWrite
    from tests.crdt_core.types.models.model import Act, Operation

ACTIVE = Fact(Standing.ACTIVE, "n1", grpc="localhost:1", redis="redis://localhost:1")
LEAVING = Fact(Standing.LEAVING, "n1", reason="lost", at_ms=1)
SEALED = Fact(Standing.SEALED, "n1", reason="lost", at_ms=2, final=3)
_FACTS = (ACTIVE, LEAVING, Fact(Standing.LEAVING, "n1", reason="lost", at_ms=2), SEALED)


def _payloads() -> st.SearchStrategy[Any]:
    """Facts about members, and closings."""
    end = {"reason": st.text(max_size=9), "at_ms": st.integers(0, 2**63 - 1)}
    node = st.sampled_from(NAMES)
    return st.one_of(
        st.just(True),
        st.tuples(st.just(Standing.ACTIVE), node, st.text(max_size=9), st.text(max_size=9)).map(lambda f: Fact(*f)),
        st.builds(partial(Fact, Standing.LEAVING, grpc="", redis="", final=0), node, **end),
        st.builds(partial(Fact, Standing.FOLDED, grpc="", redis=""), node, **end, final=st.integers(0, 2**49)),
    )


class MembersModel(Model):
    """What is known of replica ids. Closings are left to the tests of membership."""

    type = MEMBERS
    verbs = (("say", lambda choices: (choices.choice((b"n1", b"n1.2")), choices.choice(_FACTS))),)
    parts = st.sampled_from([b"n1", b"n1.2", b"n1/n2"])
    payloads = _payloads()
    examples = (
        Example("n1", ["active", "n1", "localhost:1", "redis://localhost:1"], ACTIVE),
        Example("n1.2", ["leaving", "n1", "lost", 1], LEAVING),
        Example("n2", ["sealed", "n1", "lost", 2, 3], SEALED),
        Example("n1/n2", True, True),
    )
    malformed = (
        ("an id of nobody", "n 1", True),
        ("a closing of a closing", "n1/n2/n3", True),
        ("a standing to come", "n1", ["resting", "n1", "", ""]),
        ("an end before the beginning", "n1", ["sealed", "n1", "lost", 2, -1]),
        ("a node without a name", "n1", ["active", "", "", ""]),
    )

    def writes(self, view: View, replica: str, operation: Operation) -> list[PartWrite]:  # noqa: ARG002
        return [operation.argument]

    def value(self, acts: list[Act]) -> Any:
        """Of each id, what has come furthest among the facts that no later fact about it, and no delete, has seen."""
        all_gone = seen_by(deletes(acts))
        gone: dict[bytes, int] = {}
        told = [act for act in acts if act.verb != DELETE]
        for act in told:
            part, _ = act.argument
            gone[part] = gone.get(part, 0) | act.past
        facts: dict[str, Fact] = {}
        for act in told:
            part, fact = act.argument
            if not act.bit & (all_gone | gone[part]):
                facts[part.decode()] = max(fact, facts.get(part.decode(), fact))
        return Members(facts, {}) if facts else NOTHING


MODELS = (MembersModel(),)

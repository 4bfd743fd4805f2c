"""One tree of errors, whose messages a person can read."""

from __future__ import annotations

import pytest

import deltaic
from deltaic import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_of_the_tree_and_public(name: str) -> None:
    assert issubclass(getattr(errors, name), deltaic.DeltaicError)
    assert getattr(deltaic, name) is getattr(errors, name)


def test_what_the_types_raise_is_of_the_same_tree() -> None:
    with pytest.raises(deltaic.InvalidArgument):
        deltaic.GCounter("n1").increment(-1)


def test_the_caller_and_the_world_are_told_apart() -> None:
    assert issubclass(deltaic.Refused, deltaic.CallerError)
    for error in (deltaic.NoNodeAnswers, deltaic.NodesBehind, deltaic.OutcomeUnknown):
        assert issubclass(error, deltaic.WorldError)


def test_messages_name_the_node_the_command_and_the_reason() -> None:
    assert str(deltaic.Refused("n1:7201", "INCR k", "ERR overflow")) == "n1:7201 refused INCR k: ERR overflow"
    assert str(deltaic.NoNodeAnswers("GET k", {"n1:7201": "refused", "n2:7201": "no route"})) == (
        "no node took GET k; n1:7201: refused; n2:7201: no route"
    )
    assert str(deltaic.NodesBehind("GET k", {"n1:7201": "it lacks 2"})) == (
        "no node that answers has all that this session has seen, for GET k; n1:7201: it lacks 2"
    )
    assert str(deltaic.OutcomeUnknown("n1:7201", "INCR k", "no reply in time")) == (
        "n1:7201 may or may not have done INCR k: no reply in time; it was not repeated"
    )

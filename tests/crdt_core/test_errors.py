"""The error tree: each error says whose fault it is, carries its facts as fields, and fits on one line."""

from __future__ import annotations

import inspect

import grpc
import pytest

from crdt_core import errors
from crdt_core.errors import (
    AlreadyRunning,
    CallerError,
    CorruptState,
    CounterOverflow,
    DamagedState,
    DeltaicError,
    DigestMismatch,
    EvictingRedis,
    Fenced,
    HalfRestored,
    ImpossibleClock,
    InvalidArgument,
    InvariantBroken,
    Malformed,
    NotAMember,
    Overloaded,
    PatchTooNew,
    PeerError,
    Retired,
    SettingsError,
    Stopping,
    StoreUnavailable,
    TooLarge,
    TooMany,
    Unauthenticated,
    UnknownNode,
    WorldError,
    WrongType,
    brief,
)

CAUSED_BY = {
    CallerError: [
        InvalidArgument("amount", "it is negative"),
        TooLarge("value", 9, 5, "limits.value_bytes_max"),
        TooMany("ops", 9, 5, "operations", "limits.batch_max"),
        WrongType("fruit", "orset", "pncounter"),
        CounterOverflow("hits"),
        Unauthenticated(),
        UnknownNode("n9", ["n1", "n2"]),
        SettingsError("gossip.port", "it is not a number"),
    ],
    PeerError: [Malformed("delta", "not JSON"), ImpossibleClock("n1", 9, 5), PatchTooNew({"n1": 9})],
    WorldError: [
        StoreUnavailable("Redis does not answer"),
        Overloaded(5, "limits.calls_waiting_max"),
        EvictingRedis("n1", "allkeys-lru"),
        AlreadyRunning("n1", "process 7"),
        Stopping("the worker is shutting down"),
    ],
    DeltaicError: [
        CorruptState("deltaic:{n1}:state", "not JSON"),
        DamagedState("n1", "a set is gone"),
        Fenced("n1"),
        Retired("n1", "absent"),
        NotAMember("n9", "it was removed", "deltaic node add n9"),
        HalfRestored("n1"),
        DigestMismatch("n1", ["n2", "n3"]),
        InvariantBroken("n1:7 is used twice"),
    ],
}
ALL = [error for group in CAUSED_BY.values() for error in group]
WORDS = {"MAY_TAKE_EFFECT", "NOTHING_CHANGED", "SHUTTING_DOWN", "WRONG_TYPE_LINE", "brief"}
"""What the module offers for messages, beside the errors."""


def test_every_error_is_in_the_tree_that_the_module_draws() -> None:
    classes = {name for name, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, DeltaicError)}
    assert classes == {type(error).__name__ for error in ALL} | {group.__name__ for group in CAUSED_BY}
    drawing = inspect.getdoc(errors) or ""
    assert classes == {word for line in drawing.splitlines() for word in line.split() if word in classes}
    assert classes | WORDS == set(errors.__all__)


@pytest.mark.parametrize("cause", CAUSED_BY, ids=lambda cause: cause.__name__)
def test_an_error_is_caught_by_who_caused_it(cause: type[DeltaicError]) -> None:
    """An error that nobody should handle like others stands directly under the root."""
    for error in CAUSED_BY[cause]:
        caught = [group for group in (CallerError, PeerError, WorldError) if isinstance(error, group)]
        assert caught == ([] if cause is DeltaicError else [cause])


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_an_error_has_one_line_and_what_a_face_needs(error: DeltaicError) -> None:
    assert str(error)
    assert "\n" not in str(error)
    assert error.grpc_code in grpc.StatusCode.__members__
    assert 0 < error.exit_code < 128


def test_an_error_carries_its_facts_as_fields() -> None:
    too_large = TooLarge("value", 9, 5, "limits.value_bytes_max")
    assert (too_large.field, too_large.size, too_large.limit, too_large.setting) == (
        "value",
        9,
        5,
        "limits.value_bytes_max",
    )
    impossible = ImpossibleClock("n1", covered=9, made=5)
    assert (impossible.replica, impossible.covered, impossible.made) == ("n1", 9, 5)
    assert "n1:9" in str(impossible)
    assert PatchTooNew({"n1": 9}).missing == {"n1": 9}
    assert UnknownNode("n9", ["n1"]).known == ["n1"]


def test_a_failed_write_says_whether_it_may_still_take_effect() -> None:
    assert not StoreUnavailable("Redis does not answer").unchanged
    assert StoreUnavailable("Redis does not answer", unchanged=True).unchanged


def test_the_exit_codes_by_which_a_supervisor_decides_are_what_the_documentation_says() -> None:
    """2 ends the fleet; 4 to 8 keep the process down, because another try cannot succeed."""
    codes = {type(error): error.exit_code for error in ALL}
    assert codes[SettingsError] == 2
    assert (codes[AlreadyRunning], codes[Fenced], codes[Retired]) == (4, 5, 5)
    assert (codes[DigestMismatch], codes[InvariantBroken]) == (6, 6)
    assert (codes[CorruptState], codes[HalfRestored], codes[NotAMember]) == (7, 7, 8)
    assert codes[StoreUnavailable] == 3


@pytest.mark.parametrize(
    "value", ["x" * 10_000, [[[[[[[[[[1]]]]]]]]]], list(range(10_000)), 10**5000, b"\xff" * 5000], ids=list("abcde")
)
def test_whatever_a_peer_sends_is_quoted_briefly(value: object) -> None:
    """An integer of thousands of digits, which Python refuses to print, once stopped the worker here."""
    assert 0 < len(brief(value)) < 200

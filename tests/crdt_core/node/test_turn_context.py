"""The turn context: collects what a turn does, and what was set aside in it."""

from __future__ import annotations

from crdt_core.node.events import Quarantined
from crdt_core.node.turn_context import QUARANTINED_BYTES_MAX, TurnContext


def test_turns_share_nothing() -> None:
    first, second = TurnContext(1, 2), TurnContext(1, 2)
    first.quarantine("inbox", "1-0", b"junk", "no JSON")
    first.effects.append(object())  # type: ignore[arg-type]
    assert second.commit.empty
    assert second.effects == second.calls == second.own == second.images == []


def test_what_is_set_aside_is_kept_with_its_place_and_the_reason() -> None:
    context = TurnContext(1, 2)
    context.quarantine("log of n2", "7-0", b"junk", "no JSON")
    assert context.commit.quarantined == [Quarantined("log of n2", "7-0", b"junk", "no JSON")]


def test_of_something_large_the_beginning_is_kept_and_the_reason_says_so() -> None:
    context = TurnContext(1, 2)
    context.quarantine("inbox", "1-0", b"x" * (QUARANTINED_BYTES_MAX + 1), "no JSON")
    (item,) = context.commit.quarantined
    assert item.content == b"x" * QUARANTINED_BYTES_MAX
    assert item.reason == f"no JSON (the first {QUARANTINED_BYTES_MAX} of {QUARANTINED_BYTES_MAX + 1} bytes)"

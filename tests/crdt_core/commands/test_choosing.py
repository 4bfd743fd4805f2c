"""Random choices: as many as asked for, each as likely, alike for the same seed."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest

from crdt_core.commands.choosing import REPEATS_MAX, choose_by_step, parts_chosen
from crdt_core.commands.replies import CommandError
from crdt_core.commands.session import Session
from crdt_core.replica.replica import Replica
from crdt_core.replica.steps import finish

ITEMS = [b"a", b"b", b"c"]


def session(seed: int = 0) -> Session:
    return Session(Replica("n1"), 0, seed)


def choose(one: Session, items: list[bytes], count: int) -> list[bytes]:
    return finish(choose_by_step(one, [*items], count))


def test_no_item_is_chosen_twice_and_no_more_than_there_are() -> None:
    for count in range(5):
        chosen = choose(session(), ITEMS, count)
        assert len(set(chosen)) == len(chosen) == min(count, 3)
    assert choose(session(7), ITEMS, 2) == choose(session(7), ITEMS, 2)


def test_a_negative_count_chooses_as_many_that_may_repeat() -> None:
    chosen = choose(session(), ITEMS, -100)
    assert len(chosen) == 100
    assert set(chosen) == set(ITEMS)


def test_every_choice_is_as_likely() -> None:
    one = session()
    found = Counter(tuple(choose(one, ITEMS, 2)) for _ in range(6000))
    assert found.keys() == set(permutations(ITEMS, 2))
    assert min(found.values()) > 800


def test_a_choice_that_may_repeat_is_bounded() -> None:
    with pytest.raises(CommandError, match=f"must be at least -{REPEATS_MAX}"):
        choose(session(), ITEMS, -REPEATS_MAX - 1)


def test_a_large_choice_is_made_in_steps() -> None:
    items = [b"%d" % number for number in range(1000)]
    for count in (500, -500):
        assert sum(1 for _ in choose_by_step(session(), [*items], count)) == 25


@pytest.mark.parametrize(
    ("options", "parts"),
    [([], 0), ([b"7"], 0), ([b"-7"], 7), ([b"-7", b"WITHVALUES"], 7), ([b"x"], 0), ([b"-99999999"], REPEATS_MAX)],
)
def test_only_items_that_may_repeat_are_more_than_there_are(options: list[bytes], parts: int) -> None:
    assert parts_chosen(options) == parts

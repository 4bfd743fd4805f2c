"""The change index answers exactly for clocks beyond what it has forgotten, and never holds more than its limit."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from crdt_core.lattice.clocks import Dot, VersionVector
from crdt_core.replica import change_index
from crdt_core.replica.change_index import ChangeIndex

if TYPE_CHECKING:
    import pytest

NAMES = ("n1", "n2", "n3")
ADDRESSES = st.lists(st.builds(lambda n: (b"key", "orset", b"%d" % n), st.integers(0, 9)), max_size=3)
COMMITS = st.lists(st.tuples(st.sampled_from(NAMES), ADDRESSES), max_size=30)
CLOCKS = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 12)).map(VersionVector)


def filled(commits: list, limit: int) -> tuple[ChangeIndex, VersionVector, dict[Dot, list]]:
    """Return an index of `commits`, their clock, and what each of them changed."""
    index, clock, changed = ChangeIndex(limit), VersionVector(), {}
    for replica, addresses in commits:
        dot = Dot(replica, clock.increment(replica))
        changed[dot] = addresses
        index.add(dot, addresses)
    return index, clock, changed


@given(COMMITS, st.integers(0, 20), CLOCKS)
def test_it_answers_with_what_was_changed_beyond_a_clock_or_not_at_all(
    commits: list, limit: int, since: VersionVector
) -> None:
    index, _, changed = filled(commits, limit)
    found = index.since(since)
    if found is None:
        assert not index.floor <= since
    else:
        assert set(chain.from_iterable(found)) == {
            address for dot, addresses in changed.items() if not since.covers(dot) for address in addresses
        }


@given(COMMITS, st.integers(0, 20))
def test_it_never_holds_more_than_its_limit(commits: list, limit: int) -> None:
    index, clock, changed = filled(commits, limit)
    assert len(index) <= limit
    assert index.floor <= clock
    assert len(index) == sum(len(addresses) for dot, addresses in changed.items() if not index.floor.covers(dot))


@given(COMMITS, CLOCKS)
def test_what_is_stable_is_forgotten_and_the_rest_is_not(commits: list, stable: VersionVector) -> None:
    index, clock, changed = filled(commits, 1000)
    index.forget(stable)
    assert len(index) == sum(len(addresses) for dot, addresses in changed.items() if not stable.covers(dot))
    index.forget(clock)
    assert len(index) == 0
    assert index.since(clock) == []


def test_no_more_than_a_few_commits_are_forgotten_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 000 commits, as they are there after a partition, took 100 ms."""
    monkeypatch.setattr(change_index, "FORGOTTEN_AT_ONCE", 7)
    index, clock, _ = filled([(name, [(b"key", "orset", b"x")]) for name in NAMES] * 5, 100)
    left = [15]
    while left[-1]:
        index.forget(clock)
        assert index.since(index.floor) is not None
        left.append(len(index))
    assert left == [15, 8, 1, 0]
    assert index.floor == clock


def test_an_index_that_starts_at_a_clock_knows_nothing_from_before() -> None:
    """That of a replica that was loaded: nobody has noted what its former life changed."""
    clock = VersionVector(n1=5)
    index = ChangeIndex(10, floor=clock)
    clock.increment("n1")
    assert index.since(VersionVector(n1=4)) is None
    assert index.since(VersionVector(n1=5)) == []


def test_the_replica_with_the_most_commits_is_forgotten_first() -> None:
    index = ChangeIndex(4)
    index.add(Dot("n2", 1), [(b"rare", "orset", b"a")])
    for counter in range(1, 9):
        index.add(Dot("n1", counter), [(b"busy", "orset", b"%d" % counter)])
    assert index.floor == {"n1": 5}
    assert index.since(VersionVector(n1=8)) == [((b"rare", "orset", b"a"),)]


def test_a_commit_that_changed_more_than_the_limit_is_not_listed_and_nothing_older_of_its_replica_is_claimed() -> None:
    """The addresses of a flush of a million keys were all listed, and then forgotten."""
    index = ChangeIndex(limit=2)
    index.add(Dot("n1", 1), [(b"key", "orset", b"old")])
    index.add(Dot("n2", 1), [(b"key", "orset", b"other")])
    index.add(Dot("n1", 2), [(b"key", "orset", b"%d" % number) for number in range(3)])
    assert index.since(VersionVector(n1=1)) is None
    assert index.since(VersionVector(n1=2)) == [((b"key", "orset", b"other"),)]
    assert len(index) == 1


@given(COMMITS, st.integers(0, 6), st.integers(0, 9))
def test_room_that_was_made_before_changes_nothing(commits: list, limit: int, amount: int) -> None:
    ready, plain = filled(commits, limit), filled(commits, limit)
    addresses = [(b"large", "orset", b"%d" % number) for number in range(amount)]
    for _ in ready[0].make_room_in_slices("n1", amount, 1):
        pass
    for index, clock, _ in (ready, plain):
        index.add(Dot("n1", clock["n1"] + 1), addresses)
    assert (ready[0].floor, len(ready[0])) == (plain[0].floor, len(plain[0]))
    assert ready[0].since(VersionVector()) == plain[0].since(VersionVector())


def test_room_is_made_in_steps() -> None:
    """A flush of a million keys forgot all commits before it in one step, which took 80 ms."""
    index, _, _ = filled([("n1", [(b"key", "orset", b"%d" % number)]) for number in range(100)], 100)
    assert sum(1 for _ in index.make_room_in_slices("n1", 101, 10)) == 10
    assert not len(index)

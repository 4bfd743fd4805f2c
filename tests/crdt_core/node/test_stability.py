"""Stability: the frontier is what all have seen and done before is here; who is away holds it back, up to a point."""

from __future__ import annotations

import orjson
import pytest

from crdt_core.codec.messages import Compact
from crdt_core.lattice.clocks import Stamp, VersionVector
from crdt_core.membership.membership import Membership
from crdt_core.node.events import JobAnswer
from crdt_core.node.options import NodeOptions
from crdt_core.node.stability import Stability
from crdt_core.node.turn_context import TurnContext
from crdt_core.replica.replica import Replica
from tests.crdt_core.writes import Add, Count, Remove

NOW = Stamp(1, 0)


class Watched:
    """The stability of n1 in a fleet of `names`, in which n2 wrote and n1 removed something."""

    def __init__(self, *names: str, **options: int) -> None:
        self.replica = Replica("n1", founders=names)
        n2 = Replica("n2", founders=names)
        Add(b"set", b"x").run(n2, NOW)
        n2.commit(NOW)
        self.replica.join(n2.patch(None, NOW))
        Remove(b"set", b"x").run(self.replica, NOW)
        self.replica.commit(NOW)
        self.replica.take_changes()
        options = {"log_entries_kept": 0, "fence_after_ms": 10_000, **options}
        self.stability = Stability(self.replica, Membership("n1", self.replica), NodeOptions(**options))
        self.context = TurnContext(5, 0)
        self.overdue: list[str] = []

    def hears(self, clocks: dict[str, dict[str, int]], *absent: str, at_ms: int = 0) -> TurnContext:
        """A job reports."""
        self.context = TurnContext(5, at_ms)
        report = Compact({peer: VersionVector(clock) for peer, clock in clocks.items()}, absent, "answer")
        self.overdue = self.stability.take(report, self.context)
        return self.context


def test_tombstones_go_once_every_member_has_seen_them() -> None:
    watched = Watched("n1", "n2", "n3")
    watched.hears({"n2": {"n1": 1, "n2": 1}})
    assert len(watched.replica.catalogue.tombstones) == 1
    watched.hears({"n3": {"n2": 1}})
    assert watched.replica.stable == {"n2": 1}
    assert len(watched.replica.catalogue.tombstones) == 1
    watched.hears({"n3": {"n1": 1, "n2": 1}})
    assert watched.replica.stable == {"n1": 1, "n2": 1}
    assert not watched.replica.catalogue.tombstones


def test_a_clock_counts_only_once_all_that_its_member_did_by_then_is_here() -> None:
    watched = Watched("n1", "n2")
    assert not watched.stability.may_count("n2", VersionVector(n2=2))
    watched.hears({"n2": {"n1": 1, "n2": 2}})
    assert watched.replica.stable == {}
    assert watched.stability.may_count("n2", VersionVector(n1=1, n2=1))
    watched.hears({"n2": {"n1": 1, "n2": 1}})
    assert watched.replica.stable == {"n1": 1, "n2": 1}


def test_who_is_no_member_has_no_say() -> None:
    watched = Watched("n1", "n2")
    watched.hears({"n9": {}, "n2": {"n1": 1, "n2": 1}})
    assert watched.replica.stable == {"n1": 1, "n2": 1}


def test_the_log_is_trimmed_up_to_the_frontier_less_what_is_kept_to_be_looked_at() -> None:
    watched = Watched("n1", "n2")
    for _ in range(9):
        Count(b"hits").run(watched.replica, NOW)
        watched.replica.commit(NOW)
    assert watched.hears({"n2": {"n1": 10, "n2": 1}}).commit.trim == 10
    keeps = Watched("n1", "n2", log_entries_kept=4)
    assert keeps.hears({"n2": {"n1": 1, "n2": 1}}).commit.trim == 0


def test_the_job_and_the_header_are_told_how_far_it_is_and_who_holds_what_back() -> None:
    watched = Watched("n1", "n2", "n3")
    context = watched.hears({"n2": {"n1": 1, "n2": 1}, "n3": {}}, "n3")
    assert context.effects == [JobAnswer("answer", {"stable": {}, "markers_waiting": 1})]
    waiting = orjson.loads(context.commit.header["waiting"])
    assert (waiting["markers"], waiting["held_by"]) == (1, {"n3": 1})
    assert waiting["bytes"] > 0
    assert context.commit.header["compacted_ms"] == b"5"


def test_absence_is_added_up_from_report_to_report_and_survives_a_restart() -> None:
    watched = Watched("n1", "n2", "n3")
    watched.hears({}, "n3", at_ms=0)
    watched.hears({}, "n3", at_ms=4000)
    header = {name: bytes(value) for name, value in watched.context.commit.header.items()}
    again = Watched("n1", "n2", "n3")
    again.stability.restore(header)
    assert again.stability.absent_ms == {"n3": 4000}
    again.hears({}, "n3", at_ms=70_000)
    assert again.stability.absent_ms == {"n3": 4000}, "nobody knows what happened while this node was away"
    again.hears({}, at_ms=71_000)
    assert again.stability.absent_ms == {}


def test_a_long_silence_of_the_jobs_counts_for_a_minute() -> None:
    watched = Watched("n1", "n2", "n3", fence_after_ms=10**9)
    watched.hears({}, "n3", at_ms=0)
    watched.hears({}, "n3", at_ms=10**8)
    assert watched.stability.absent_ms == {"n3": 60_000}


def test_a_majority_that_is_present_goes_on_without_who_is_away_for_too_long() -> None:
    watched = Watched("n1", "n2", "n3")
    watched.hears({}, "n3", at_ms=0)
    watched.hears({}, "n3", at_ms=9_999)
    assert watched.overdue == []
    watched.hears({}, "n3", at_ms=10_000)
    assert watched.overdue == ["n3"]


def test_half_of_the_fleet_never_goes_on_without_the_other_half() -> None:
    watched = Watched("n1", "n2", "n3", "n4")
    watched.hears({}, "n3", "n4", at_ms=0)
    watched.hears({}, "n3", "n4", at_ms=20_000)
    assert watched.overdue == []


@pytest.mark.parametrize("junk", [b"junk", b"[]", b'{"n3":-1}', b'{"n3":true}', b'{"n3":9007199254740992}'])
def test_junk_in_the_header_makes_nobody_absent(junk: bytes) -> None:
    watched = Watched("n1", "n2", "n3")
    watched.stability.restore({"absent": junk})
    assert watched.stability.absent_ms == {}

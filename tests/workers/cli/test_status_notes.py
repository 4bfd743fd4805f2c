"""The notes below the tables of the status."""

from __future__ import annotations

from typing import Any

import pytest

from crdt_core.types.members import Fact, Members, Standing
from workers.cli.status_notes import status_notes
from workers.config.settings import ClockSettings, NodeSettings
from workers.fleet.fleet_status import Away, FleetStatus
from workers.fleet.node_status import Lag, NodeStatus

AT_MS = 100_000
SETTING = "(setting clock.skew_refuse_ms)"
LEGEND = "7 -3 1.2s: has seen 7, lacks 3, the oldest of them 1.2 s old; cut: link paused"


def node(name: str, **fields: Any) -> NodeStatus:
    settings = NodeSettings(grpc="h:1", redis="redis://h")
    return NodeStatus(name, settings, **{"serving": True, "beat_age_ms": 0, **fields})


def notes(
    *nodes: NodeStatus,
    away: dict[str, Away] | None = None,
    facts: dict[str, Fact] | None = None,
    closings: dict[str, set[str]] | None = None,
) -> list[str]:
    members = Members(facts or {}, {id_: frozenset(closers) for id_, closers in (closings or {}).items()})
    status = FleetStatus(AT_MS, {found.name: found for found in nodes}, [], members, away or {})
    return [note.plain for note in status_notes(status, ClockSettings())]


def test_there_is_nothing_to_say_of_a_fleet_that_is_well() -> None:
    assert notes(node("n1", lag={"n2": Lag(0, 0)}), node("n2")) == []


def test_a_lag_or_a_paused_link_needs_a_legend() -> None:
    assert notes(node("n1", lag={"n2": Lag(1, 5)})) == [LEGEND]
    assert notes(node("n1", links={"n2": "paused"})) == [LEGEND]


def test_nodes_with_the_same_problem_share_a_note_without_anything_that_a_terminal_obeys() -> None:
    problem = "no \x1b[31manswer"
    assert notes(node("n1", problem=problem), node("n2"), node("n3", problem=problem)) == [
        r"Redis of n1 n3: no \x1b[31manswer"
    ]


def test_a_node_that_cannot_write_is_named_with_the_reason() -> None:
    assert notes(node("n1", trouble="Redis refuses: OOM"), node("n2")) == ["n1 cannot write: Redis refuses: OOM"]


def test_messages_in_quarantine_are_pointed_out_with_the_command_that_shows_them() -> None:
    assert notes(node("n1", quarantine=2)) == ["n1: 2 messages in quarantine: XRANGE deltaic:{n1}:quarantine - +"]


def test_a_node_that_comes_up_says_how_far_it_is() -> None:
    joins = {"joins": {"peer": "n1", "done": 7, "of": 9, "bytes": 100}}
    assert notes(node("n2", serving=False, heartbeat=joins)) == ["n2 joins from n1: 7 of 9 parts, 100 B"]
    assert notes(node("n2", serving=False, heartbeat={"waits": "for n1"})) == ["n2 waits: for n1"]
    assert notes(node("n2", heartbeat=joins)) == []


@pytest.mark.parametrize(
    ("away", "expected"),
    [
        (Away(21_000, 600_000, 3, 120), "21.0s; 3 tombstones wait for it, about 120 B; the others fence it in 10min"),
        (Away(21_000, 0, 0, 0), "21.0s; the others fence it at the next compaction"),
        (Away(21_000, None, 0, 0), "21.0s; too few members are present to fence it"),
    ],
)
def test_a_member_that_is_away_holds_up_the_others_for_so_long(away: Away, expected: str) -> None:
    assert notes(node("n1"), away={"n3": away}) == [f"n3 has been away for {expected}"]


def test_an_id_that_leaves_stays_in_the_clocks_until_all_have_heard_of_it() -> None:
    active = {name: Fact(Standing.ACTIVE, name) for name in ("n1", "n2")}
    left = Fact(Standing.LEAVING, "n4", reason="removed", at_ms=AT_MS - 2000)
    sealed = Fact(Standing.SEALED, "n4", reason="removed", at_ms=AT_MS - 2000, final=7)
    assert notes(node("n1"), facts={**active, "n4": left}, closings={"n4": {"n1"}}) == [
        "n4 has left (removed, 2.0s ago); its id leaves the clocks when n2 have heard of it"
    ]
    assert notes(node("n1"), facts={**active, "n4": sealed}) == [
        "n4 has left (removed, 2.0s ago); its id leaves the clocks after the next compactions"
    ]


@pytest.mark.parametrize(
    ("skew_ms", "expected"),
    [
        (500, []),
        (-3000, ["the clock of n1 is 3.0s behind the others"]),
        (18_000_000, [f"the clock of n1 is 5h ahead of the others: the others do not follow its stamps {SETTING}"]),
        (-18_000_000, [f"the clock of n1 is 5h behind the others: it follows nobody's stamps {SETTING}"]),
    ],
)
def test_a_clock_that_is_wrong_is_pointed_out_with_what_that_means(skew_ms: int, expected: list[str]) -> None:
    assert notes(node("n1", clock_skew_ms=skew_ms)) == expected


def test_tombstones_wait_for_a_reason_and_are_told_of_once() -> None:
    assert notes(node("n1", tombstones=3)) == ["tombstones that wait for the next compaction: 3"]
    down = node("n2", serving=False, beat_age_ms=None)
    assert notes(node("n1", tombstones=3), down) == ["tombstones that wait for n2 to come back: 3"]
    assert notes(node("n1", tombstones=3, links={"n2": "paused"}))[1:] == ["tombstones that wait for paused links: 3"]
    assert len(notes(node("n1", tombstones=3), away={"n2": Away(1, None, 3, 9)})) == 1


def test_a_redis_that_may_delete_keys_and_records_that_it_has_lost_are_named() -> None:
    remedy = "redis-cli CONFIG SET maxmemory-policy noeviction"
    assert notes(node("n1", heartbeat={"evicts": "allkeys-lru"}), node("n2", heartbeat={"persisted_again": 3})) == [
        f"the Redis of n1 may delete keys (maxmemory-policy allkeys-lru): {remedy}",
        "n2: its Redis had lost or changed 3 records; they were written again",
    ]
    assert notes(node("n1", heartbeat={"evicts": 7, "persisted_again": "many"})) == []


def test_the_last_audit_is_an_alarm_or_a_number_of_comparisons() -> None:
    agreed = {"at_ms": AT_MS - 2000, "agree": ["n2", "n3"], "mismatch": []}
    older = {"at_ms": AT_MS - 9000, "agree": ["n1"], "mismatch": []}
    assert notes(node("n1", audit=agreed), node("n2", audit=older)) == ["last audit 2.0s ago: 3 comparisons, all agree"]
    alarm = {"at_ms": AT_MS, "agree": [], "mismatch": ["n2", "n3"]}
    assert notes(node("n1", audit=alarm), node("n2", audit=older)) == [
        "last audit: equal clocks, different digests: n1 and n2, n3"
    ]

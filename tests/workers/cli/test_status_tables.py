"""The headline and the tables of the status, as text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.console import Console

from crdt_core.lattice.clocks import VersionVector
from crdt_core.types.members import Members, Standing
from workers.cli.status_tables import clocks_table, headline, nodes_table
from workers.config.settings import NodeSettings
from workers.fleet.agreement import fill_in_agreement, group_by_clock
from workers.fleet.fleet_status import FleetStatus
from workers.fleet.node_status import Lag, NodeStatus

AT_MS = 100_000


def node(name: str, counter: int | None = 1, *, resp: str | None = None, **fields: Any) -> NodeStatus:
    clock = None if counter is None else VersionVector({"n1": counter})
    return NodeStatus(
        name,
        NodeSettings(grpc="h:1", redis="redis://h", resp=resp),
        **{"clock": clock, "digest": "d" * 16, "beat_age_ms": 0, "serving": True, "replica": name, **fields},
    )


def fleet(*nodes: NodeStatus) -> FleetStatus:
    found = {status.name: status for status in nodes}
    groups = group_by_clock(status for status in nodes if status.takes_part)
    fill_in_agreement(found, groups)
    return FleetStatus(AT_MS, found, groups, Members({}, {}), {})


def text(renderable: Any, width: int = 140) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def row(renderable: Any, number: int = 0) -> list[str]:
    return text(renderable).splitlines()[2 + number].split()


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([node("n1"), node("n2")], "2 of 2 nodes up; all agree"),
        ([node("n1"), node("n2", 2)], "2 of 2 nodes up; 2 views: n1 | n2"),
        (
            [node("n1"), node("n2", digest="e")],
            "2 of 2 nodes up; DIGEST MISMATCH: n1 / n2 have seen the same and hold different states",
        ),
        (
            [node("n1"), node("n2"), node("n3", None, problem="x", serving=False, beat_age_ms=None)],
            "2 of 3 nodes up; no Redis of n3; the other 2 agree",
        ),
        ([node("n1", None, problem="x")], "1 of 1 nodes up; no Redis of n1; nothing can be compared"),
        ([node("n1", trouble="x"), node("n2")], "2 of 2 nodes up; n1 cannot write; all agree"),
        ([node("n1", heartbeat={"evicts": "allkeys-lru"})], "1 of 1 nodes up; n1 may lose records; all agree"),
        ([node("n1", heartbeat={"persisted_again": 2})], "1 of 1 nodes up; n1 may lose records; all agree"),
        ([node("n1"), node("n2", serving=False, heartbeat={"waits": "x"})], "1 of 2 nodes up; all agree"),
        ([node("n1"), node("n2", standing=Standing.LEAVING)], "1 of 1 nodes up; all agree"),
    ],
)
def test_the_headline_counts_and_compares(nodes: list[NodeStatus], expected: str) -> None:
    assert headline(fleet(*nodes)).plain == expected


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "up"),
        ({"serving": False, "beat_age_ms": 4000}, "down 4.0s"),
        ({"serving": False, "beat_age_ms": None}, "down"),
        ({"problem": "x"}, "up, no Redis"),
        ({"problem": "x", "serving": False, "beat_age_ms": None}, "down, no Redis"),
        ({"trouble": "x"}, "up, no writes"),
        ({"heartbeat": {"evicts": "allkeys-lru"}}, "up, may lose"),
        ({"serving": False, "heartbeat": {"waits": "for n2"}}, "waits"),
        ({"serving": False, "joining": True}, "joins"),
        ({"serving": False, "heartbeat": {"joins": {}}}, "joins"),
        ({"standing": None}, "no member"),
        ({"standing": Standing.LEAVING, "left_because": "absent"}, "left: absent"),
    ],
)
def test_the_state_of_a_node_is_a_few_words(fields: dict[str, Any], state: str) -> None:
    shown = text(nodes_table(fleet(node("n1", **fields)))).splitlines()[2]
    assert re.split(r"\s{2,}", shown)[1] == state


def test_a_row_says_what_is_known_of_a_node() -> None:
    report = {"at_ms": AT_MS - 1500, "peers_contacted": ["n2"], "peers_failed": ["n3"], "new_items": 4}
    status = fleet(node("n1", replica="n1.2", log=7, inbox=0, round=report), node("n2", None, digest=None))
    first, second = (" ".join(row(nodes_table(status), number)) for number in (0, 1))
    assert first == "n1 as n1.2 up dddddddd agree 7 0 1.5s ago: n2, 4 new, failed: n3"
    assert second == "n2 up - ? ? ? none yet"


def test_the_redis_face_is_shown_as_redis_cli_wants_it_if_a_node_has_one() -> None:
    assert "redis-cli" not in text(nodes_table(fleet(node("n1"))))
    status = fleet(node("n1", resp="127.0.0.1:7201"), node("n2", resp="n2.example:7202"), node("n3"))
    shown = text(nodes_table(status))
    assert "redis-cli" in shown
    assert "-p 7201" in shown
    assert "-h n2.example -p 7202" in shown


def test_a_clock_is_shown_with_how_far_it_is_behind() -> None:
    n1 = node("n1", 9, lag={"n2": Lag(None, None)})
    n2 = node("n2", 7, lag={"n1": Lag(2, 1200)}, links={"n1": "paused"})
    status = fleet(n1, n2, node("n3", None, problem="x"))
    n1.lag["n3"] = n2.lag["n3"] = Lag(3, None)
    table = clocks_table(status)
    assert text(table).splitlines()[0].split() == ["has", "seen", "of", "n1", "of", "n2", "of", "n3"]
    assert row(table) == ["n1", "9", "0", "?", "0", "-3", "?"]
    assert row(table, 1) == ["n2", "7", "-2", "1.2s", "cut", "0", "0", "-3", "?"]
    assert row(table, 2) == ["n3", "?", "?", "?"]


def test_without_any_clock_there_is_no_table_of_question_marks() -> None:
    """With every Redis away, the status was two tables of question marks."""
    assert clocks_table(fleet(node("n1", None, problem="x"), node("n2", None, problem="x"))) is None


@pytest.fixture
def five() -> FleetStatus:
    """A fleet as in the README: five nodes, apart, in two halves."""
    names = [f"n{number}" for number in range(1, 6)]
    nodes = []
    for name in names:
        others = [peer for peer in names if peer != name]
        report = {"at_ms": AT_MS - 1100, "peers_contacted": others[:2], "peers_failed": [], "new_items": 0}
        made = node(name, 1234, resp=f"127.0.0.1:720{name[1:]}", log=17, inbox=0, round=report)
        made.links = dict.fromkeys(others[2:], "paused")
        made.lag = {peer: Lag(2, 618) for peer in others}
        nodes.append(made)
    return fleet(*nodes)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (140, "node state digest agreement log inbox redis-cli last round"),
        (80, "node state digest agreement log inbox redis-cli last round"),
        (70, "node state agreement log inbox redis-cli last round"),
        (60, "node state agreement redis-cli last round"),
        (50, "node state agreement last round"),
        (30, "node state agreement"),
    ],
)
def test_a_terminal_shows_as_many_columns_as_are_readable(five: FleetStatus, width: int, shown: str) -> None:
    """The table had 81 columns. In 50 it was four lines for each node, with three quarters of the cells cut off."""
    lines = [line.rstrip() for line in text(nodes_table(five), width).splitlines()]
    assert lines[0].split() == shown.split()
    assert [line.split()[0] for line in lines[2:]] == list(five.nodes)
    assert max(map(len, lines)) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(lines)


def test_a_long_round_is_folded_before_columns_are_left_out(five: FleetStatus) -> None:
    five.nodes["n2"].round = {"at_ms": AT_MS, "peers_contacted": [], "peers_failed": ["n3", "n4", "n5"], "new_items": 7}
    lines = text(nodes_table(five), 80).splitlines()
    assert "digest" in lines[0]
    assert max(map(len, lines)) <= 80


def test_clocks_that_do_not_fit_side_by_side_are_a_line_for_each_node(five: FleetStatus) -> None:
    assert text(clocks_table(five)).splitlines()[0].split()[:2] == ["has", "seen"]
    lines = [line.rstrip() for line in text(clocks_table(five), 50).splitlines()]
    assert lines[:3] == [
        "n1 has seen 1234 of n1, 0 -2 618ms of n2, 0 -2",
        "618ms of n3, 0 -2 618ms cut of n4, 0 -2 618ms cut",
        "of n5",
    ]
    assert lines[3].startswith("n2 has seen 1234 -2 618ms of n1, 0 of n2,")

"""`deltaic partition` and `deltaic heal` write links into Redis, and need no worker for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import InvalidArgument, StoreUnavailable, UnknownNode
from tests.workers.cli.invoking import invoke
from tests.workers.fleet.publishing import AWAY
from tests.workers.fleet_files import fleet_file, sections
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from tests.command import Command
    from tests.fleet import Fleet
    from tests.server import ValkeyServer


@pytest.fixture
def three(tmp_path: Path, server: ValkeyServer) -> Path:
    """The file of a fleet of three without workers."""
    return fleet_file(tmp_path, **sections(dict.fromkeys(("n1", "n2", "n3"), server.url)))


def paused(client: Redis) -> set[tuple[str, str]]:
    """The paused links, as (listener, speaker)."""
    names = ("n1", "n2", "n3")
    links = {name: client.hgetall(Keys(name).links) for name in names}
    return {(name, peer.decode()) for name in names for peer, state in links[name].items() if state == b"paused"}


def test_a_node_is_cut_off_and_healed(three: Path, client: Redis) -> None:
    shown = invoke(three, "partition", "n3").stdout
    assert paused(client) == {("n1", "n3"), ("n2", "n3"), ("n3", "n1"), ("n3", "n2")}
    assert [line.split() for line in shown.splitlines()[2:5]] == [
        ["n1", "-", "yes", "no"],
        ["n2", "yes", "-", "no"],
        ["n3", "no", "no", "-"],
    ]
    assert "paused links: 4; no: the node in this row does not hear the node in this column" in shown
    assert "paused links: 3" in invoke(three, "heal", "n3->n1").stdout
    assert paused(client) == {("n2", "n3"), ("n3", "n1"), ("n3", "n2")}
    assert "everyone hears everyone" in invoke(three, "heal").stdout
    assert not paused(client)


def test_links_that_are_paused_already_stay_so(three: Path, client: Redis) -> None:
    invoke(three, "partition", "n1->n2")
    invoke(three, "partition", "n3->n1")
    assert paused(client) == {("n2", "n1"), ("n1", "n3")}


def test_what_makes_no_sense_changes_nothing(three: Path, client: Redis) -> None:
    for line in (["partition", "n1", "n9"], ["partition", "n1->n9"], ["heal", "n9"]):
        assert isinstance(invoke(three, *line).exception, UnknownNode)
    assert isinstance(invoke(three, "partition", "n1,n2,n3").exception, InvalidArgument)
    assert invoke(three, "partition").exit_code == 2
    assert not paused(client)


def test_a_redis_that_is_away_is_named_and_the_other_links_are_set(
    tmp_path: Path, client: Redis, server: ValkeyServer
) -> None:
    urls = {"n1": server.url, "n2": AWAY, "n3": server.url}
    file = fleet_file(tmp_path, **sections(urls))
    result = invoke(file, "partition", "n3")
    assert isinstance(result.exception, StoreUnavailable)
    assert str(result.exception) == f"the links of n2 could not be set: Redis at {AWAY}: connection refused"
    assert paused(client) == {("n1", "n3"), ("n3", "n1"), ("n3", "n2")}
    assert [line.split() for line in result.stdout.splitlines()[3:4]] == [["n2", "?", "-", "?"]]
    healed = invoke(file, "heal", "n1->n3")
    assert healed.exception is None
    assert "paused links: 2" in healed.stdout


@pytest.mark.parametrize("line", ["heal", "partition n1"])
def test_without_any_redis_there_is_an_error_and_no_table_of_question_marks(tmp_path: Path, line: str) -> None:
    result = invoke(fleet_file(tmp_path, **sections({"n1": AWAY, "n2": AWAY})), *line.split())
    assert result.stdout == ""
    assert "start the fleet" in str(result.exception)


def test_workers_obey(fleet: Fleet, deltaic: Command, key: str) -> None:
    deltaic("partition", "n1,n2", "n3,n4,n5")
    fleet["n1"].increment(key)
    fleet.agree("n1", "n2")
    assert fleet["n3"].counter(key) == 0
    deltaic("heal")
    fleet.agree()
    assert fleet["n3"].counter(key) == 1

"""`deltaic node list` and `add`: what is shown, and what is refused before anything is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import AlreadyRunning, InvalidArgument, SettingsError, WorldError
from tests.workers.cli.invoking import invoke, invoke_json
from tests.workers.fleet.publishing import AWAY, publish_beat, publish_header, publish_members
from tests.workers.fleet_files import fleet_file, sections
from workers.config.loading import START_FLEET, load_settings
from workers.fleet.stores import NodeStoreUnavailable
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from tests.server import ValkeyServer

N4 = ("--grpc", "127.0.0.1:7104", "--redis")


@pytest.fixture
def file(tmp_path: Path, server: ValkeyServer) -> Path:
    """The file of a fleet of n1 and n2 without workers, and n3 whose Redis is away."""
    urls = {"n1": server.url, "n2": server.url, "n3": AWAY}
    return fleet_file(tmp_path, **sections(urls))


def test_every_id_that_is_or_was_a_member_is_listed(file: Path, client: Redis, server: ValkeyServer) -> None:
    publish_header(client, "n1", {"n1": 7}, owner="token")
    client.set(Keys("n1").alive, "token")
    publish_beat(client, "n2", waits="for n3")
    publish_members(
        client,
        "n1",
        ("n1", "active", "n1", "", ""),
        ("n2", "leaving", "n2", "lost", 1000),
        ("n2.2", "active", "n2", "", ""),
        ("n4", "folded", "n4", "removed", 1000, 41),
    )
    found = {id_["replica"]: id_ for id_ in invoke_json(file, "node", "list")}
    assert list(found) == ["n1", "n2", "n2.2", "n4", "-"]
    assert (found["n1"]["running"], found["n1"]["joining"], found["n1"]["redis"]) == (True, False, server.url)
    assert (found["n2"]["standing"], found["n2"]["reason"], found["n2"]["since_ms"]) == ("leaving", "lost", 1000)
    assert (found["n2.2"]["standing"], found["n2.2"]["joining"], found["n2.2"]["waits"]) == ("active", True, "for n3")
    assert (found["n4"]["standing"], found["n4"]["last_commit"]) == ("folded", 41)
    assert (found["-"]["node"], found["-"]["standing"]) == ("n3", "no member")
    rows = [line.split() for line in invoke(file, "node", "list").output.splitlines()[2:]]
    assert [(row[0], row[1]) for row in rows] == [
        ("n1", "n1"),
        ("n2", "n2"),
        ("n2", "n2.2"),
        ("n4", "n4"),
        ("n3", "-"),
    ]
    assert "runs" in rows[0]
    assert "waits" in rows[2]


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (160, "node replica standing since worker gRPC resp Redis"),
        (80, "node replica standing since worker gRPC"),
        (50, "node replica standing worker"),
    ],
)
def test_a_terminal_shows_as_much_of_the_list_as_is_readable(file: Path, client: Redis, width: int, shown: str) -> None:
    """In 50 columns, each address took three lines."""
    publish_header(client, "n1", {"n1": 7})
    lines = invoke(file, "node", "list", columns=width).output.splitlines()
    assert lines[0].split() == shown.split()
    assert [line.split()[0] for line in lines[2:]] == ["n1", "n2", "n3"]
    assert max(len(line.rstrip()) for line in lines) <= width


def test_a_member_whose_redis_is_away_is_shown_so(file: Path, client: Redis) -> None:
    publish_header(client, "n1", {"n1": 7})
    (n3,) = [id_ for id_ in invoke_json(file, "node", "list") if id_["node"] == "n3"]
    assert (n3["running"], n3["joining"]) == (None, False)
    assert "no Redis" in invoke(file, "node", "list").output


def test_if_nobody_answers_the_list_shows_the_fleet_file_and_fails_with_the_remedy(nobody: Path) -> None:
    """It called every node of the file an active member, and ended with 0."""
    failed = invoke(nobody, "node", "list")
    assert isinstance(failed.exception, WorldError)
    assert "the Redis of no node answers" in str(failed.exception)
    assert "`deltaic fleet`" in str(failed.exception)
    assert [line.split()[:3] for line in failed.output.splitlines()[2:]] == [
        [f"n{n}", "-", "unknown"] for n in (1, 2, 3)
    ]
    found = json.loads(invoke(nobody, "node", "list", "--json").output)
    assert [(id_["node"], id_["standing"], id_["running"]) for id_ in found] == [
        ("n1", "unknown", None), ("n2", "unknown", None), ("n3", "unknown", None),
    ]  # fmt: skip


def test_an_address_that_a_member_has_is_refused_before_anything_is_written(
    file: Path, client: Redis, server: ValkeyServer
) -> None:
    """A node added at the address of n1 counted as up, because n1 answered there."""
    publish_header(client, "n1", {"n1": 7}, founders=["n1", "n2"])
    publish_members(client, "n1", ("n4", "active", "n4", "127.0.0.1:4", server.url))
    before = file.read_text()
    for taken, owner in (("127.0.0.1:1", "n1"), ("127.0.0.1:4", "n4")):
        refused = invoke(file, "node", "add", "n7", "--grpc", taken, "--redis", server.url).exception
        assert isinstance(refused, SettingsError)
        assert str(refused) == f"setting nodes.n7.grpc: {taken} is also the address of {owner}"
    assert file.read_text() == before


def test_addresses_that_are_missing_differ_or_are_none_are_refused(
    file: Path, client: Redis, server: ValkeyServer
) -> None:
    refused = invoke(file, "node", "add", "n4", "--grpc", "127.0.0.1:7104").exception
    assert isinstance(refused, InvalidArgument)
    assert "--grpc and --redis are needed" in str(refused)
    refused = invoke(file, "node", "add", "n2", "--redis", "redis://:s3cret@10.0.0.9").exception
    assert str(refused) == f"--redis: the fleet file says {server.url}; omit the option, or change the file"
    refused = invoke(file, "node", "add", "n2", "--resp", "127.0.0.1:7").exception
    assert "does not set it" in str(refused)
    assert isinstance(invoke(file, "node", "add", "N4", *N4, server.url).exception, SettingsError)
    assert isinstance(invoke(file, "node", "add", "n4", *N4, "http://x").exception, SettingsError)


def test_a_member_that_is_up_to_date_is_not_added_again(file: Path, client: Redis) -> None:
    publish_header(client, "n1", {"n1": 7})
    publish_header(client, "n2", {"n1": 7})
    refused = invoke(file, "node", "add", "n2").exception
    assert str(refused) == "n2: it is already a member; its replica id is n2"


def test_another_machine_that_was_added_under_the_name_is_not_taken_for_this_one(
    file: Path, client: Redis, server: ValkeyServer
) -> None:
    """It was told the replica id of the other machine, noted that, and ran under it: one id on two machines."""
    publish_header(client, "n1", {"n1": 7})
    elsewhere = ("n4-4f2a91", "active", "n4", "127.0.0.1:7999", "redis://127.0.0.1:7998/0")
    publish_members(client, "n1", ("n1", "active", "n1", "", ""), elsewhere)
    refused = invoke(file, "node", "add", "n4", *N4, server.url, "--no-wait").exception
    assert isinstance(refused, InvalidArgument)
    assert "at 127.0.0.1:7999" in str(refused)
    assert "ANOTHER-NAME" in str(refused)
    assert not client.exists(Keys("n4").added)
    assert "nodes.n4" not in file.read_text("utf-8")


def test_who_adds_a_machine_by_its_own_name_is_told_to_rename_its_section_first(
    file: Path, client: Redis, server: ValkeyServer
) -> None:
    """It said that the address is also that of n2, which is this very machine."""
    publish_header(client, "n1", {"n1": 7})
    publish_members(client, "n1", ("n1", "active", "n1", "", ""))
    before = file.read_text("utf-8")
    address = load_settings(file).nodes["n2"].grpc
    for options in ((), ("--grpc", address, "--redis", server.url)):
        refused = invoke(file, "node", "add", "n2-4f2a91", *options).exception
        assert isinstance(refused, InvalidArgument)
        assert "if this is the machine of the section [nodes.n2], call that [nodes.n2-4f2a91] first" in str(refused)
    assert file.read_text("utf-8") == before


def test_a_member_that_has_not_come_up_yet_is_only_waited_for(file: Path, client: Redis) -> None:
    publish_header(client, "n1", {"n1": 7})
    shown = invoke(file, "node", "add", "n2", "--no-wait")
    assert shown.exception is None
    assert shown.output.splitlines()[0] == "n2 is already a member; its replica id is n2"
    assert f"a `deltaic fleet` that runs with -f {file} starts it" in shown.output
    assert "elsewhere, start it: deltaic replica n2" in shown.output


def test_a_redis_that_is_away_or_is_of_another_fleet_is_refused(
    file: Path, client: Redis, server: ValkeyServer
) -> None:
    publish_header(client, "n1", {"n1": 7}, founders=["n1", "n2"])
    assert isinstance(invoke(file, "node", "add", "n4", *N4, AWAY).exception, NodeStoreUnavailable)
    publish_header(client, "n4", {"n4": 7}, founders=["n4"], owner="token")
    refused = invoke(file, "node", "add", "n4", *N4, server.url).exception
    assert isinstance(refused, InvalidArgument)
    assert "its Redis holds a replica of another fleet at deltaic:{n4}" in str(refused)
    client.set(Keys("n4").alive, "token")
    refused = invoke(file, "node", "add", "n4", *N4, server.url).exception
    assert isinstance(refused, AlreadyRunning)
    assert str(refused).endswith("; stop that process first"), "it named an option of another command"


def test_who_adds_one_of_two_that_removed_each_other_is_told_how_to_empty_its_redis(
    file: Path, client: Redis, server: ValkeyServer
) -> None:
    """It said that no member answers, named none, and told to start the fleet."""
    publish_header(client, "n1", {"n1": 7}, founders=["n1", "n2"])
    publish_header(client, "n2", {"n2": 7}, founders=["n1", "n2"])
    publish_members(client, "n1", ("n1", "active", "n1", "", ""), ("n2", "leaving", "n2", "removed", 1000))
    publish_members(client, "n2", ("n1", "leaving", "n1", "removed", 1000), ("n2", "active", "n2", "", ""))
    for via in ((), ("--via", "n1")):
        refused = invoke(file, "node", "add", "n2", "--no-wait", *via).exception
        assert isinstance(refused, InvalidArgument)
        keys = "'deltaic:{n2}' 'deltaic:{n2}:obj:deltaic:members'"
        assert str(refused) == (
            "n2: its Redis says that n1 was removed, and no other member is left that could record it; to give up what "
            f"only n2 has written, run `redis-cli -u {server.url} UNLINK {keys}`, and repeat the command"
        )
    client.unlink(Keys("n2").header, Keys("n2").members)
    assert "asked n1;" in str(invoke(file, "node", "add", "n2", "--no-wait").exception)


def test_without_a_member_that_serves_nothing_is_written(file: Path, client: Redis, server: ValkeyServer) -> None:
    publish_header(client, "n1", {"n1": 7}, founders=["n1", "n2"])
    before = file.read_text()
    refused = invoke(file, "node", "add", "n4", *N4, server.url).exception
    assert isinstance(refused, WorldError)
    assert str(refused) == f"no member answers that could record it; asked n1, n2; {START_FLEET}"
    assert file.read_text() == before

"""What a job sees of the fleet, and the lock that keeps it from running twice at once."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from crdt_core.codec.messages import Round
from crdt_core.errors import UnknownNode
from tests.proxy import Proxy
from tests.workers.fleet.publishing import AWAY, publish_header, publish_members, settings_of
from workers.jobs import fleet_access
from workers.jobs.fleet_access import FleetAccess, job_timeout_s
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from redis import Redis

    from tests.proxy import Direction, Link
    from tests.server import ValkeyServer

LOCK = Keys("n1").lock("gossip")


def silent_redis() -> socket.socket:
    """A server that takes connections and says nothing."""
    return socket.create_server(("127.0.0.1", 0))


def test_a_node_that_the_settings_do_not_name_has_no_jobs() -> None:
    with pytest.raises(UnknownNode):
        FleetAccess(settings_of(n1=AWAY), "n9")


def test_its_peers_are_the_members_and_those_of_paused_links_are_left_out(client: Redis, server: ValkeyServer) -> None:
    publish_header(client, "n1", {"n1": 1})
    client.hset(Keys("n1").links, "n2", "paused")
    fleet = FleetAccess(settings_of(n1=server.url, n2=server.url), "n1")
    assert fleet.peers() == ["n2", "n3"]
    assert fleet.open_peers() == ["n3"]


def test_a_member_that_the_fleet_file_does_not_name_is_reached_at_its_published_address(
    client: Redis, server: ValkeyServer
) -> None:
    publish_header(client, "n1", {"n1": 1})
    publish_members(
        client,
        "n1",
        ("n1", "active", "n1", "", ""),
        ("n4", "active", "n4", "h:4", server.url),
        ("n5", "active", "n5", "", ""),
    )
    publish_header(client, "n4", {"n4": 7})
    fleet = FleetAccess(settings_of(n1=server.url), "n1")
    assert sorted(fleet.peers()) == ["n4", "n5"]
    published = fleet.published("n4")
    assert published is not None
    assert (published.clock, published.digest) == ({"n4": 7}, b"0" * 16)
    with pytest.raises(UnknownNode):
        fleet.redis("n5")


def test_what_cannot_be_read_is_none(client: Redis, server: ValkeyServer) -> None:
    fleet = FleetAccess(settings_of(n1=server.url, n2=AWAY, n3=server.url), "n1")
    client.hset(Keys("n3").header, mapping={"clock": "nonsense", "digest": "0"})
    for node in ("n1", "n2", "n3", "n9"):
        assert fleet.evidence(node) is None
        assert fleet.published(node) is None
        assert not fleet.runs(node)
    assert fleet.peers() == []
    client.set(Keys("n1").alive, "token")
    assert fleet.runs("n1")


def test_a_worker_that_does_not_answer_is_said(client: Redis, server: ValkeyServer) -> None:
    settings = settings_of(n1=server.url)
    settings = settings.model_copy(update={"gossip": settings.gossip.model_copy(update={"timeout_ms": 1})})
    fleet = FleetAccess(settings, "n1")
    key = fleet.keys.answer("7")
    assert fleet.ask("7", Round("7", ("n2",), key)) == {"skipped": "n1 did not answer within 2.001 s"}
    client.rpush(key, '{"new_items":3}')
    assert fleet.ask("7", Round("7", ("n2",), key)) == {"new_items": 3}
    assert client.xlen(Keys("n1").inbox) == 2


def test_a_job_runs_once_at_a_time_for_each_node(client: Redis, server: ValkeyServer) -> None:
    settings = settings_of(n1=server.url, n2=server.url)
    one, again, other = FleetAccess(settings, "n1"), FleetAccess(settings, "n1"), FleetAccess(settings, "n2")
    with one.single_flight("gossip") as alone:
        assert alone
        assert 0 < client.ttl(LOCK) <= job_timeout_s(settings)
        with again.single_flight("gossip") as second, other.single_flight("gossip") as elsewhere:
            assert (second, elsewhere) == (False, True)
        assert client.exists(LOCK), "the one that did not run does not take the lock away"
        with again.single_flight("compact") as another_job:
            assert another_job
    assert not client.exists(LOCK)


def test_a_job_keeps_its_lock_while_the_redis_of_its_peers_is_silent(
    client: Redis, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock once expired before the job had asked its peers, so that the next run of the job began meanwhile."""
    for name in ("REPLY_TIMEOUT_S", "_ANSWER_MARGIN_S"):
        monkeypatch.setattr(fleet_access, name, 0.5)
    publish_header(client, "n1", {"n1": 1}, founders=["n1", "n2", "n3", "n4", "n5"])
    with ExitStack() as stack:
        silent = {f"n{number}": stack.enter_context(silent_redis()) for number in range(2, 6)}
        urls = {name: f"redis://127.0.0.1:{listening.getsockname()[1]}/0" for name, listening in silent.items()}
        settings = settings_of(n1=server.url, **urls)
        settings = settings.model_copy(update={"gossip": settings.gossip.model_copy(update={"timeout_ms": 1})})
        fleet = FleetAccess(settings, "n1")
        with fleet.single_flight("gossip") as alone:
            assert alone
            assert fleet.some_that_run(fleet.open_peers(), 2) == []
            assert client.exists(LOCK)


def test_the_search_for_peers_that_run_asks_no_more_than_it_needs_and_has_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = FleetAccess(settings_of(n1=AWAY), "n1")
    asked: list[str] = []

    def runs(node: str) -> bool:
        asked.append(node)
        return node != "n2"

    monkeypatch.setattr(fleet, "runs", runs)
    found = fleet.some_that_run(["n2", "n3", "n4", "n5", "n6"], 2)
    assert len(found) == 2
    assert [node for node in asked if node != "n2"] == found
    assert sorted(fleet.some_that_run(["n2", "n3", "n4"], 9)) == ["n3", "n4"]
    monkeypatch.setattr(fleet_access, "SEARCH_S", -1)
    assert fleet.some_that_run(["n2", "n3"], 1) == []


def test_all_peers_are_asked_at_the_same_time() -> None:
    """Each answer waits until all have been asked."""
    fleet, meeting = FleetAccess(settings_of(n1=AWAY), "n1"), threading.Barrier(3)

    def ask(peer: str) -> str:
        meeting.wait(10)
        return peer.upper()

    assert fleet.of_each(["n2", "n3", "n4"], ask) == {"n2": "N2", "n3": "N3", "n4": "N4"}
    assert fleet.of_each([], ask) == {}


def test_a_job_that_fails_gives_its_lock_up(client: Redis, server: ValkeyServer) -> None:
    fleet = FleetAccess(settings_of(n1=server.url), "n1")
    with pytest.raises(ZeroDivisionError), fleet.single_flight("gossip"):
        _ = 1 / 0
    assert not client.exists(LOCK)


def test_a_lock_that_expired_during_its_job_is_left_to_the_next_run(client: Redis, server: ValkeyServer) -> None:
    fleet = FleetAccess(settings_of(n1=server.url), "n1")
    with fleet.single_flight("gossip") as alone:
        assert alone
        client.set(LOCK, "the next run", px=60_000)
    assert client.get(LOCK) == b"the next run"


def test_a_lock_that_expires_while_its_job_gives_it_up_is_left_to_the_next_run(
    client: Redis, server: ValkeyServer
) -> None:
    """To look at the lock and to delete it were two steps: what came between them lost the lock of the next run."""

    interfered: list[bytes] = []

    def expire_before_a_delete(_: Link, direction: Direction, data: bytes) -> bytes:
        if direction == "request" and b"\r\nDEL\r\n" in data.upper():
            interfered.append(data)
            client.set(LOCK, "the next run", px=60_000)
        return data

    with Proxy(server.port) as proxy:
        proxy.script = expire_before_a_delete
        with FleetAccess(settings_of(n1=proxy.url), "n1").single_flight("gossip") as alone:
            assert alone
            taken = client.get(LOCK)
    assert taken not in {None, b"the next run"}
    left = client.get(LOCK)
    assert left == (b"the next run" if interfered else None), "the lock of the next run was deleted"

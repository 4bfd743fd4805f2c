"""The periodic jobs against real workers: what they report, what they repair, and that a doubled job does no harm."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import orjson
import pytest
from rq import Queue
from rq.job import Job
from rq.registry import FinishedJobRegistry
from rq.serializers import JSONSerializer

from crdt_core.errors import DigestMismatch
from tests.fleet import Fleet
from tests.support import DELTAIC, wait_until
from workers.config.settings import GossipSettings
from workers.jobs import fleet_access
from workers.jobs import maintenance as jobs
from workers.rpc import deltaic_pb2 as pb
from workers.wire.keys import AUDIT, FLEET, PAUSED, Keys, queue_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NODES = 3
KEPT = GossipSettings().log_entries_kept


@pytest.fixture(scope="module")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("jobs"), nodes=NODES) as fleet:
        yield fleet


@pytest.fixture
def fleet(three_nodes: Fleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("DELTAIC_FILE", str(three_nodes.directory / "fleet.toml"))
    for name in three_nodes.nodes:
        wait_until(lambda name=name: three_nodes.redis().hexists(FLEET, name), 10, f"a sign of life from {name}")
    yield three_nodes
    three_nodes.heal()
    three_nodes.agree()


def test_a_round_reports_whom_it_contacted_what_it_sent_and_what_was_new(fleet: Fleet) -> None:
    fleet.cut(["n1"], ["n2", "n3"])
    fleet["n2"].increment("reported")
    fleet["n3"].add("reported set", "a", "b")
    fleet.redis().delete(*(Keys(name).log for name in fleet.nodes))  # nothing but the round can bring it
    fleet.heal()
    report = jobs.gossip_round("n1")
    assert sorted(report["peers_contacted"]) == ["n2", "n3"]
    assert report["messages_sent"] >= 2
    assert fleet.everywhere("counter", "reported") == [1] * NODES
    assert fleet.everywhere("elements", "reported set") == [["a", "b"]] * NODES
    again = jobs.gossip_round("n1")
    assert (again["messages_sent"], again["new_items"]) == (2, 0)
    header = orjson.loads(fleet.redis().hget(Keys("n1").header, "round"))
    assert {**again, "at_ms": header["at_ms"]} == header


def test_a_round_does_not_contact_whom_the_node_does_not_listen_to(fleet: Fleet) -> None:
    fleet.redis().hset(Keys("n1").links, "n2", PAUSED)
    assert jobs.gossip_round("n1")["peers_contacted"] == ["n3"]


def test_rounds_are_single_flight(fleet: Fleet) -> None:
    fleet.redis().set(Keys("n1").lock("gossip"), "another run", px=60_000)
    assert jobs.gossip_round("n1") == {"skipped": "a round is under way"}
    assert fleet.redis().get(Keys("n1").lock("gossip")) == b"another run"
    fleet.redis().delete(Keys("n1").lock("gossip"))
    assert "skipped" not in jobs.gossip_round("n1")
    assert not fleet.redis().exists(Keys("n1").lock("gossip"))


def test_a_round_of_a_node_that_is_down_is_left_out(fleet: Fleet) -> None:
    assert fleet["n3"].stop() == 0
    try:
        assert jobs.gossip_round("n3") == {"skipped": "n3 is down"}
        assert jobs.gossip_round("n1")["peers_contacted"] == ["n2"]
        assert jobs.compact("n3") == {"skipped": "n3 is down"}
    finally:
        fleet["n3"].start()
        fleet["n3"].wait_until_serving()


def test_a_job_outwaits_a_peer_that_does_not_answer(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's answer takes as long as an exchange may; the connection that waits for it once gave up before."""
    monkeypatch.setattr(fleet_access, "REPLY_TIMEOUT_S", 0.3)
    fleet.set_link("n3", "n1", PAUSED)  # so it leaves what n1 asks unanswered
    wait_until(lambda: fleet["n3"].status().links["n1"] == PAUSED, what="n3 to know")
    report = jobs.gossip_round("n1")
    assert (report["peers_contacted"], report["peers_failed"]) == (["n2"], ["n3"])


def test_compaction_trims_a_log_up_to_what_everyone_has_but_for_the_latest_entries(fleet: Fleet) -> None:
    for _ in range(KEPT + 20):
        fleet["n1"].increment("trimmed")
    fleet.agree()
    jobs.compact("n1")
    newest = fleet["n1"].clock()["n1"]
    assert fleet.own_log("n1") == [f"{counter}-0" for counter in range(newest - KEPT + 1, newest + 1)]


def test_compaction_forgets_removals_once_everyone_has_them(fleet: Fleet) -> None:
    redis = fleet.redis()
    fleet["n1"].add("fruit", "apple", "pear")
    fleet.agree()
    fleet["n2"].remove("fruit", "apple")
    fleet["n3"].increment("gone", 5)
    fleet.agree()
    fleet["n1"].objects.Delete(pb.DeleteRequest(key="gone"))
    fleet.agree()
    assert redis.hexists("deltaic:{n1}:obj:fruit", "apple")
    for name in fleet.nodes:
        report = jobs.compact(name)
        assert report["stable"] == fleet[name].clock()
        assert report["markers_waiting"] == 0
        assert redis.hgetall(f"deltaic:{{{name}}}:obj:fruit").keys() == {b"pear"}
        assert not redis.hexists(f"deltaic:{{{name}}}:state", "gone")
    fleet.agree()
    assert fleet.everywhere("elements", "fruit") == [["pear"]] * NODES
    fleet["n2"].add("fruit", "apple")
    fleet["n3"].increment("gone", 1)
    fleet.agree()
    assert fleet.everywhere("elements", "fruit") == [["apple", "pear"]] * NODES
    assert fleet.everywhere("counter", "gone") == [1] * NODES


def test_a_removal_is_kept_while_a_member_may_not_have_it(fleet: Fleet) -> None:
    fleet["n1"].add("kept", "apple")
    fleet.agree()
    fleet.cut(["n3"], ["n1", "n2"])
    fleet["n1"].remove("kept", "apple")
    wait_until(lambda: fleet["n2"].elements("kept") == [], 10, "n2 to hear of the removal")
    assert jobs.compact("n1")["markers_waiting"] == 1
    fleet["n3"].add("kept", "pear")
    fleet.heal()
    fleet.sync_all()
    fleet.agree()
    assert fleet.everywhere("elements", "kept") == [["pear"]] * NODES
    assert [jobs.compact(name)["markers_waiting"] for name in fleet.nodes] == [0] * NODES


def test_the_audit_finds_agreement_and_raises_an_alarm_where_equal_clocks_come_with_different_digests(
    fleet: Fleet,
) -> None:
    fleet["n1"].increment("audited")
    fleet.agree()
    assert sorted(jobs.audit("n1")["agree"]) == ["n2", "n3"]
    header = Keys("n2").header
    digest = fleet.redis().hget(header, "digest")
    fleet.redis().hset(header, "digest", "0" * 16)
    with pytest.raises(DigestMismatch, match="n1 and n2 have equal clocks and different digests"):
        jobs.audit("n1")
    assert orjson.loads(fleet.redis().hget(AUDIT, "n1"))["mismatch"] == ["n2"]
    fleet.redis().hset(header, "digest", digest)
    report = jobs.audit("n1")
    assert (report["mismatch"], report["persisted_again"]) == ([], 0)


def test_rq_schedules_and_runs_the_jobs_in_json_and_shows_them(fleet: Fleet, tmp_path: Path) -> None:
    environment = {**os.environ, "DELTAIC_GOSSIP__INTERVAL_S": "1", "DELTAIC_JOBS__AUDIT_INTERVAL_S": "1"}
    with ExitStack() as stack, (tmp_path / "rq.log").open("wb") as log:
        for command in ("cron", "jobs"):
            process = subprocess.Popen([DELTAIC, command], env=environment, stdout=log, stderr=log)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        queues = [Queue(queue_name(name), connection=fleet.redis(), serializer=JSONSerializer) for name in fleet.nodes]
        registries = [FinishedJobRegistry(queue=queue, serializer=JSONSerializer) for queue in queues]
        wait_until(lambda: all(len(registry) >= 4 for registry in registries), 60, "each node's jobs to be run")
        done = [
            Job.fetch(job_id, connection=fleet.redis(), serializer=JSONSerializer)
            for registry in registries
            for job_id in registry.get_job_ids()
        ]
        assert {job.func_name for job in done} >= {
            "workers.jobs.gossip_round",
            "workers.jobs.audit",
        }
        rounds = [job.return_value() for job in done if job.func_name == "workers.jobs.gossip_round"]
        assert any("peers_contacted" in report for report in rounds)
        info = subprocess.run(
            [DELTAIC.with_name("rq"), "info", "--url", fleet.valkey.url], capture_output=True, text=True, timeout=30
        ).stdout
        assert queue_name("n1") in info
        assert "3 queues" in info

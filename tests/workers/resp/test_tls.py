"""The Redis face over TLS: clients that trust its CA get in, nobody else does, and the rest is as in the clear."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

import hiredis
import pytest
import redis.asyncio
import uvloop
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as ConnectionRefused
from redis.retry import Retry

from crdt_core.errors import SettingsError
from tests.certificates import Authority
from tests.fleet import Fleet
from tests.support import free_port, wait_until_async
from tests.workers.resp.inprocess import InProcess
from tests.workers.resp.programs import redis_benchmark, redis_cli
from tests.workers.resp.raw import packed
from workers.config.credentials import resp_tls
from workers.config.protection import SecuritySettings
from workers.resp import tls
from workers.resp.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "sesame"  # noqa: S105
MEGABYTE = 1 << 20
ONCE = Retry(NoBackoff(), 0)
"""For who is refused: by itself, redis-py comes back for some seconds."""


def _fleet(directory: Path, authority: Authority, more: str = "") -> Fleet:
    pair = authority.issue("127.0.0.1", "localhost")
    files = f'resp_certificate = "{pair.certificate}"\nresp_key = "{pair.key}"\n'
    return Fleet(directory / "fleet", nodes=1, settings=f"[security]\n{files}{more}")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Authority, int]]:
    """The authority that signed the certificate of a node's Redis face, and the face's port; there is a password."""
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority(directory / "certificates")
    with _fleet(directory, authority, f'password = "{PASSWORD}"\n') as fleet:
        yield authority, fleet["n1"].resp_port


def url(port: int, authority: Authority) -> str:
    return f"rediss://:{PASSWORD}@localhost:{port}/0?ssl_ca_certs={authority.file}"


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_over_tls(served: tuple[Authority, int], key: str, protocol: int) -> None:
    authority, port = served
    with Redis.from_url(url(port, authority), protocol=protocol) as client:
        assert client.set(key, b"x" * MEGABYTE)
        assert client.get(key) == b"x" * MEGABYTE
        with client.pipeline() as pipe:
            pipe.multi()
            for _ in range(1000):
                pipe.incr(key + ":hits")
            assert pipe.execute() == list(range(1, 1001))


async def test_redis_py_asyncio_over_tls(served: tuple[Authority, int], key: str) -> None:
    authority, port = served
    async with redis.asyncio.Redis.from_url(url(port, authority)) as client:
        assert await client.incr(key) == 1


def test_redis_cli_and_redis_benchmark_over_tls(served: tuple[Authority, int], key: str) -> None:
    authority, port = served
    options = ["--tls", "--cacert", str(authority.file), "-a", PASSWORD]
    quiet = [*options, "--no-auth-warning"]
    assert redis_cli(port, *quiet, "SET", key, "hello") == "OK\n"
    assert redis_cli(port, *quiet, "GET", key) == "hello\n"
    mass = b"".join(packed(b"INCR", f"{key}:hits".encode()) for _ in range(20_000))
    assert "errors: 0, replies: 20000" in redis_cli(port, *quiet, "--pipe", input_=mass)
    said = redis_benchmark(port, *options, "-t", "incr,get", "-q", "-n", "2000", "-P", "16")
    assert said.count("requests per second") == 2


def test_who_speaks_no_tls_or_trusts_another_ca_or_knows_no_password_gets_in_nowhere(
    served: tuple[Authority, int], tmp_path: Path
) -> None:
    authority, port = served
    with Redis(port=port, password=PASSWORD, retry=ONCE) as plain, pytest.raises(ConnectionRefused):
        plain.ping()
    with (
        Redis.from_url(url(port, Authority(tmp_path)), retry=ONCE) as distrustful,
        pytest.raises(ConnectionRefused, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        distrustful.ping()
    with (
        Redis.from_url(url(port, authority).replace(f":{PASSWORD}@", "")) as stranger,
        pytest.raises(AuthenticationError),
    ):
        stranger.ping()


def test_handshakes_that_never_end_keep_nobody_out(served: tuple[Authority, int]) -> None:
    authority, port = served
    with ExitStack() as stack, Redis.from_url(url(port, authority), socket_timeout=10) as client:
        before = client.info("memory")["used_memory_rss"]
        for number in range(500):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            half.sendall(b"\x16\x03\x01" if number % 2 else b"PING\r\n")
        with Redis.from_url(url(port, authority), socket_timeout=10) as newcomer:
            assert newcomer.ping()
        assert client.info("memory")["used_memory_rss"] < before + 64 * MEGABYTE


def test_a_client_that_never_reads_over_tls_is_answered_no_more_than_fits(served: tuple[Authority, int]) -> None:
    """It asks for four gigabytes, reads none of it for a while, and then finds all of it right."""
    authority, port = served
    context = ssl.create_default_context(cafile=authority.file)
    with Redis.from_url(url(port, authority)) as client:
        client.set("large", b"x" * MEGABYTE)
        before = client.info("memory")["used_memory_rss"]
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as sock,
            context.wrap_socket(sock, server_hostname="localhost") as greedy,
        ):
            greedy.sendall(packed(b"AUTH", PASSWORD.encode()) + packed(b"GET", b"large") * 4096)
            for number in range(50):
                client.set("other", number)
            assert client.info("memory")["used_memory_rss"] < before + 48 * MEGABYTE
            reader, replies = hiredis.Reader(), []
            while len(replies) < 31:
                reader.feed(greedy.recv(1 << 16))
                while (reply := reader.gets()) is not False:
                    replies.append(reply)
            assert replies[:31] == [b"OK", *[b"x" * MEGABYTE] * 30]


class Secured:
    """A face over TLS in this process, and its clients, which leave with it. An async context manager."""

    def __init__(self, directory: Path, **limits: int) -> None:
        authority = Authority(directory)
        pair = authority.issue("127.0.0.1", "localhost")
        files = SecuritySettings(resp_certificate=pair.certificate, resp_key=pair.key)
        self.inside = InProcess(tls=resp_tls(files), **limits)
        self.trust = ssl.create_default_context(cafile=authority.file)
        self.port = free_port()
        self._clients: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        await self.inside.__aenter__()
        await self.inside.face.start("n1", f"127.0.0.1:{self.port}")
        return self

    async def __aexit__(self, *error: object) -> None:
        for client in self._clients:
            client.transport.abort()
        await self.inside.face.stop()
        await self.inside.__aexit__(*error)

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.trust, server_hostname="localhost"
        )
        self._clients.append(writer)
        return reader, writer

    async def stranger(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client that begins its handshake, and no more."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"\x16\x03\x01")
        self._clients.append(writer)
        return reader, writer

    async def is_full(self) -> bool:
        """Whether one more client is turned away."""
        try:
            await self.client()
        except OSError:
            return True
        self._clients.pop().close()
        return False


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """Runs on an event loop of asyncio, and on the one that workers have, whose TLS is another."""
    with asyncio.Runner(loop_factory=request.param) as made:
        yield made


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes connections have been given, each time."""
    sizes: list[int] = []
    take = Connection.data_received

    def data_received(connection: Connection, data: bytes) -> None:
        sizes.append(len(data))
        take(connection, data)

    monkeypatch.setattr(Connection, "data_received", data_received)
    return sizes


def test_unfinished_handshakes_count_towards_the_connections(runner: asyncio.Runner, tmp_path: Path) -> None:
    """Strangers that never ended their handshake once took as many files as they liked."""

    async def run() -> None:
        async with Secured(tmp_path, connections_max=3) as face:
            reader, writer = await face.client()
            strangers = [await face.stranger() for _ in range(2)]
            assert await face.is_full()
            writer.write(packed(b"INFO", b"stats"))
            assert await reader.readuntil(b"rejected_connections:1\r\n")
            strangers[0][1].close()

            async def has_room() -> bool:
                return not await face.is_full()

            await wait_until_async(has_room, what="room for one more")

    runner.run(run())


def test_a_handshake_that_does_not_end_is_ended(
    runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with Secured(tmp_path) as face:
            reader, _ = await face.stranger()
            assert await asyncio.wait_for(reader.read(), 5) == b""

    monkeypatch.setattr(tls, "HANDSHAKE_S", 0.1)
    runner.run(run())


def test_a_face_that_stops_ends_the_handshakes(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def run() -> None:
        async with Secured(tmp_path, connections_max=1) as face:
            reader, _ = await face.stranger()
            await wait_until_async(face.is_full, what="the stranger to be counted")
            await face.inside.face.stop()
            assert await asyncio.wait_for(reader.read(), 5) == b""

    runner.run(run())


def test_no_more_is_read_over_tls_at_once_than_the_limit(
    runner: asyncio.Runner, tmp_path: Path, read: list[int]
) -> None:
    """The limit was that of asyncio's own TLS. Under uvloop, a connection took, and kept, 256 KiB to read into."""

    def pour(face: Secured) -> bytes:
        with (
            socket.create_connection(("127.0.0.1", face.port), timeout=20) as sock,
            face.trust.wrap_socket(sock, server_hostname="localhost") as client,
        ):
            client.sendall(packed(b"SET", b"large", b"x" * MEGABYTE) * 16)
            return client.recv(5)

    async def run() -> None:
        async with Secured(tmp_path) as face:
            assert await asyncio.to_thread(pour, face) == b"+OK\r\n"

    runner.run(run())
    assert sum(read) > MEGABYTE
    assert max(read) <= 2 * tls.READ_BYTES_MAX  # what one read brings, and the rest of a record from the one before


def test_a_client_that_is_not_read_is_taken_in_no_further(
    runner: asyncio.Runner, tmp_path: Path, read: list[int]
) -> None:
    """Commits wait, and a client sends 64 megabytes over TLS behind them: they stay with the client."""
    sent = 0

    def pour(face: Secured) -> None:
        nonlocal sent
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", face.port), timeout=60) as sock,
            face.trust.wrap_socket(sock, server_hostname="localhost") as client,
        ):
            while sent < 64 * MEGABYTE:
                sent += client.send(packed(b"SET", b"k", b"x" * 10_000))

    async def run() -> None:
        async with Secured(tmp_path) as face:
            reader, writer = await face.client()
            face.inside.store.back.clear()
            pouring = asyncio.create_task(asyncio.to_thread(pour, face))
            await wait_until_async(lambda: sum(read) > MEGABYTE, what="the first megabyte")
            for _ in range(200):
                writer.write(packed(b"PING"))
                assert await reader.readuntil(b"\r\n") == b"+PONG\r\n"
            assert sum(read) < 2 * MEGABYTE
            assert sent < 32 * MEGABYTE  # in the buffers of the kernel
            face.inside.store.back.set()
        await pouring

    runner.run(run())


def test_with_a_ca_clients_must_show_a_certificate_that_it_signed(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "certificates")
    own, foreign = authority.issue("some@client"), Authority(tmp_path / "foreign").issue("some@client")
    with _fleet(tmp_path, authority, f'resp_ca = "{authority.file}"\n') as fleet:

        def client(**options: object) -> Redis:
            trust = {"ssl": True, "ssl_ca_certs": str(authority.file), "host": "localhost"}
            return Redis(port=fleet["n1"].resp_port, retry=ONCE, **trust, **options)

        with client(ssl_certfile=str(own.certificate), ssl_keyfile=str(own.key)) as known:
            assert known.incr("hits") == 1
        with client() as nameless, pytest.raises(ConnectionRefused):
            nameless.ping()
        stranger = client(ssl_certfile=str(foreign.certificate), ssl_keyfile=str(foreign.key))
        with stranger, pytest.raises(ConnectionRefused):
            stranger.ping()
        options = ["--tls", "--cacert", authority.file, "--cert", own.certificate, "--key", own.key]
        assert redis_cli(fleet["n1"].resp_port, *map(str, options), "GET", "hits") == "1\n"


def test_without_certificates_the_face_speaks_no_tls() -> None:
    assert resp_tls(SecuritySettings()) is None


@pytest.mark.parametrize("spoilt", ["resp_certificate", "resp_key", "resp_ca"])
@pytest.mark.parametrize("content", [None, b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_of_the_redis_faces_tls_that_cannot_be_used_is_named(
    tmp_path: Path, spoilt: str, content: bytes | None
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1")
    files = {"resp_certificate": pair.certificate, "resp_key": pair.key, "resp_ca": authority.file}
    assert isinstance(resp_tls(SecuritySettings(**files)), ssl.SSLContext)
    files[spoilt] = tmp_path / "spoilt"
    if content is not None:
        files[spoilt].write_bytes(content)
    named = spoilt if content is None or spoilt == "resp_ca" else "resp_certificate"
    with pytest.raises(SettingsError, match=re.escape(f"security.{named}")):
        resp_tls(SecuritySettings(**files))

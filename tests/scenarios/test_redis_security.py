"""Passwords and TLS towards Redis."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import grpc
import pytest

from tests.certificates import Authority, TlsFront
from tests.client import NodeClient
from tests.scenarios.secured import (
    OWNER,
    REDIS_SECRET,
    USER,
    deployment,
    give_rights,
    redis_server,
    with_password,
)
from tests.support import wait_until
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path


def test_a_redis_with_a_user_and_a_password_of_any_characters(deploy: ExitStack, tmp_path: Path) -> None:
    server = redis_server(deploy, tmp_path, password="for the default user")  # noqa: S106
    give_rights(server, USER, REDIS_SECRET)
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
    node = deployment(deploy, tmp_path, f"unix://{OWNER}:{quote(REDIS_SECRET, safe='')}@{path}?db=3")
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
    return f"rediss://{OWNER}:{quote(REDIS_SECRET, safe='')}@127.0.0.1:{front.port}/0", authority


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
    assert f"rediss://{OWNER}:***@127.0.0.1:{url.rpartition(':')[2]}" in done.stderr

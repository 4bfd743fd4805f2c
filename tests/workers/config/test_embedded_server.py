"""The password of the embedded server: which URLs get it, and that it is published nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.errors import SettingsError
from crdt_core.types.members import Fact, Members, Standing
from tests.workers.fleet_files import local_fleet_file
from workers.config.embedded_server import completed, completed_node, names_server, with_server_password
from workers.config.loading import checked, load_settings
from workers.config.protection import ValkeySettings
from workers.config.settings import FleetSettings, NodeSettings
from workers.wire.peers import redis_url

if TYPE_CHECKING:
    from pathlib import Path

SERVER = ValkeySettings(password="s3/cret#")  # type: ignore[arg-type]  # noqa: S106
PLAIN = "redis://127.0.0.1:7000/0"
COMPLETE = "redis://:s3%2Fcret%23@127.0.0.1:7000/0"


def fleet(nodes: dict[str, dict[str, str]], **valkey: Any) -> FleetSettings:
    return checked({"nodes": {name: {"grpc": "h:1"} | node for name, node in nodes.items()}, "valkey": valkey})


def test_the_server_s_own_url_gets_its_password() -> None:
    assert completed(PLAIN, SERVER) == COMPLETE
    assert completed("redis://localhost:7000/3", SERVER) == "redis://:s3%2Fcret%23@localhost:7000/3"
    assert names_server(COMPLETE, 7000)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:7001/0",
        "redis://10.0.0.1:7000/0",
        "rediss://127.0.0.1:7000/0",
        "unix:///run/valkey.sock",
        "redis://:own@127.0.0.1:7000/0",
        "redis://user:own@127.0.0.1:7000/0",
    ],
)
def test_no_other_url_gets_it(url: str) -> None:
    assert completed(url, SERVER) == url


def test_without_a_password_or_a_server_nothing_changes() -> None:
    assert completed(PLAIN, ValkeySettings()) == PLAIN
    assert completed(PLAIN, SERVER.model_copy(update={"embedded": False})) == PLAIN
    settings = fleet({"n1": {"redis": PLAIN}})
    assert with_server_password(settings) == settings


def test_the_members_publish_the_url_without_it() -> None:
    node = completed_node(NodeSettings(grpc="h:1", redis=PLAIN, jobs=PLAIN), SERVER)
    assert (node.redis, node.jobs, node.published_redis) == (COMPLETE, COMPLETE, PLAIN)
    assert completed_node(node, SERVER).published_redis == PLAIN
    own = completed_node(NodeSettings(grpc="h:1", redis="redis://:own@127.0.0.1:7000/0"), SERVER)
    assert own.published_redis == ""


def test_a_published_url_gets_it_where_it_is_used() -> None:
    settings = with_server_password(fleet({"n1": {"redis": PLAIN}}, password="s3/cret#"))  # noqa: S106
    members = Members({"n2": Fact(Standing.ACTIVE, "n2", redis=PLAIN)}, {})
    assert redis_url(settings, members, "n1") == redis_url(settings, members, "n2") == COMPLETE


def test_loading_reads_the_password_file(tmp_path: Path) -> None:
    path = local_fleet_file(tmp_path)
    password = tmp_path / "password"
    password.write_text("s3cret\n", "ascii")
    path.write_text(path.read_text("utf-8") + f'password_file = "{password}"\n', "utf-8")
    loaded = load_settings(path)
    assert {node.redis for node in loaded.nodes.values()} == {f"redis://:s3cret@127.0.0.1:{loaded.valkey.port}/0"}
    assert "s3cret" not in repr(loaded.valkey)
    password.write_text("two words\n", "ascii")
    with pytest.raises(SettingsError, match=r"valkey\.password_file"):
        load_settings(path)


def test_there_is_one_password() -> None:
    with pytest.raises(SettingsError, match="cannot both be set"):
        fleet({"n1": {"redis": PLAIN}}, password="a", password_file="b")  # noqa: S106
    with pytest.raises(SettingsError, match="printable ASCII"):
        fleet({"n1": {"redis": PLAIN}}, password="a b")  # noqa: S106

"""`deltaic backup` and `deltaic restore`: an image comes whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import InvalidArgument, Malformed, UnknownNode
from tests.workers.cli.invoking import invoke
from tests.workers.fleet_files import fleet_file
from workers.rpc.client import NoNodeServes
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Command
    from tests.fleet import Fleet
    from tests.server import ValkeyServer

pytestmark = pytest.mark.usefixtures("usual_logging")


@pytest.fixture
def image(fleet: Fleet, deltaic: Command, key: str, tmp_path: Path) -> Path:
    """An image of n2, which has `key`."""
    fleet["n2"].increment(key, 3)
    file = tmp_path / "image"
    assert deltaic("backup", str(file), "--node", "n2") == f"n2: {file.stat().st_size} bytes in {file}\n"
    return file


@pytest.fixture
def elsewhere(tmp_path: Path, server: ValkeyServer) -> Path:
    """The file of a fleet of one node, whose Redis is empty."""
    server.client().flushdb()
    return fleet_file(tmp_path, n7={"grpc": "127.0.0.1:1", "redis": server.url})


def test_what_was_backed_up_is_restored_into_another_node(
    image: Path, elsewhere: Path, server: ValkeyServer, key: str
) -> None:
    result = invoke(elsewhere, "restore", str(image), "--node", "n7")
    assert result.exception is None, result.exception
    assert result.output.startswith("n7 holds the state of n2 at ")
    assert result.output.endswith("; start it, and it comes back under a new id\n")
    assert server.client().hexists(Keys("n7").state, key)
    refused = invoke(elsewhere, "restore", str(image), "--node", "n7").exception
    assert isinstance(refused, InvalidArgument)
    assert "its Redis holds replica n2; --force replaces it" in str(refused)
    assert invoke(elsewhere, "restore", str(image), "--node", "n7", "--force").exception is None


def test_an_image_may_go_through_standard_output_and_input(
    fleet: Fleet, deltaic: Command, key: str, elsewhere: Path, server: ValkeyServer
) -> None:
    fleet["n1"].increment(key)
    image = deltaic("backup", "-", "--node", "n1")
    assert image.startswith('{"v":1,"image":"deltaic","node":"n1"')
    result = invoke(elsewhere, "restore", "-", "--node", "n7", standard_input=image.encode())
    assert result.exception is None, result.exception
    assert server.client().hexists(Keys("n7").state, key)


def test_an_image_that_is_cut_short_changes_nothing(image: Path, elsewhere: Path, server: ValkeyServer) -> None:
    image.write_bytes(image.read_bytes()[:-10])
    assert isinstance(invoke(elsewhere, "restore", str(image), "--node", "n7").exception, Malformed)
    assert not server.client().keys()


def test_a_backup_that_fails_leaves_the_file_as_it_was(nobody: Path, tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_text("the one of yesterday")
    assert isinstance(invoke(nobody, "backup", str(file)).exception, NoNodeServes)
    assert file.read_text() == "the one of yesterday"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_files_and_nodes_that_are_not_there_are_named(nobody: Path, elsewhere: Path, tmp_path: Path) -> None:
    missing = tmp_path / "no-such-directory" / "image"
    for line in (["backup", str(missing)], ["restore", str(missing), "--node", "n7"]):
        refused = invoke(elsewhere, *line).exception
        assert isinstance(refused, InvalidArgument)
        assert str(refused) == f"{missing}: No such file or directory"
    assert isinstance(invoke(elsewhere, "restore", str(missing), "--node", "n9").exception, UnknownNode)

"""The fleet file of a running fleet: it is changed, another takes its place, and it cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import SettingsError
from tests.workers.fleet_files import local_fleet_file
from workers.config.fleet_file import add_section
from workers.config.loading import FILE_VARIABLE, PACKAGED_FILE
from workers.config.settings import NodeSettings
from workers.processes.file_watch import FileWatch

if TYPE_CHECKING:
    from pathlib import Path

N6 = NodeSettings(grpc="127.0.0.1:7106", redis="redis://127.0.0.1:7000/0")


def test_a_changed_file_is_noticed_once(tmp_path: Path) -> None:
    path = local_fleet_file(tmp_path)
    watch = FileWatch(path)
    assert watch() is None
    add_section(path, "n6", N6)
    commands = watch()
    assert commands is not None
    assert "n6" in commands
    assert watch() is None


def test_a_copy_of_the_packaged_file_that_appears_here_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make fleet` runs the packaged file, and `node add` writes its copy: the fleet looked at the former only."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    watch = FileWatch(None)
    assert watch() is None
    add_section(PACKAGED_FILE, "n6", N6)
    commands = watch()
    assert commands is not None
    assert commands["n6"] == "deltaic keep -- deltaic replica n6"


def test_a_file_that_cannot_be_used_is_named_once(tmp_path: Path) -> None:
    path = local_fleet_file(tmp_path)
    watch, before = FileWatch(path), path.read_text()
    add_section(path, "n6", N6)
    add_section(path, "n7", N6)
    with pytest.raises(SettingsError, match=r"nodes\.n7\.grpc: .* is also the address of n6"):
        watch()
    assert watch() is None
    path.write_text(before)
    assert watch() is not None

"""The Procfile: what a fleet consists of, written and read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_core.errors import SettingsError
from tests.workers.fleet_files import local_fleet_file
from workers.cli.app import root
from workers.config.loading import load_settings
from workers.processes.embedded import wants_embedded
from workers.processes.procfile import (
    fleet_commands,
    is_as_printed,
    procfile_text,
    read_procfile,
    replica_of,
    runs_valkey,
)

REPOSITORY = Path(__file__).parents[3]


def test_the_procfile_of_the_repository_is_that_of_the_default_fleet():
    printed = CliRunner().invoke(root, ["-f", str(REPOSITORY / "workers" / "config" / "deltaic.toml"), "procfile"])
    assert printed.output == (REPOSITORY / "Procfile").read_text()


def test_a_written_procfile_is_read_back(tmp_path, settings):
    path = tmp_path / "Procfile"
    path.write_text(procfile_text(fleet_commands(settings)))
    assert read_procfile(path, settings) == fleet_commands(settings)


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
    path.write_text(procfile_text(fleet_commands(settings)))
    monkeypatch.setenv("DELTAIC_VALKEY__EMBEDDED", "false")
    outside = load_settings(tmp_path / "fleet.toml")
    assert not wants_embedded(outside)
    assert "valkey" not in read_procfile(path, outside)
    assert "valkey" not in fleet_commands(outside)


def test_a_procfile_as_it_was_printed_for_fewer_or_more_nodes_leaves_the_choice_to_the_fleet_file(tmp_path, settings):
    """After `node add` had written its section, `make fleet` refused to start: the Procfile did not name the node."""
    path, wider = tmp_path / "Procfile", load_settings(local_fleet_file(tmp_path, "wider.toml", nodes=3))
    path.write_text(procfile_text(fleet_commands(settings)))
    assert is_as_printed(path, settings)
    assert is_as_printed(path, wider)
    path.write_text(procfile_text(fleet_commands(wider)))
    assert is_as_printed(path, settings)


@pytest.mark.parametrize(
    ("printed", "written"),
    [("replica n1", "replica n1 --log-level debug"), ("jobs: deltaic keep -- deltaic jobs\n", "")],
)
def test_a_procfile_that_somebody_has_changed_prevails(tmp_path, settings, printed, written):
    path = tmp_path / "Procfile"
    text = procfile_text(fleet_commands(settings))
    assert printed in text
    path.write_text(text.replace(printed, written))
    assert not is_as_printed(path, settings)


def test_nodes_with_a_redis_each_have_workers_each(tmp_path):
    apart = load_settings(local_fleet_file(tmp_path, "apart.toml", n2={"jobs": "redis://10.0.0.2:6379/0"}))
    lines = fleet_commands(apart)
    assert lines["jobs-n1"] == "deltaic keep -- deltaic jobs --node n1"
    assert lines["cron-n2"] == "deltaic keep -- deltaic cron --node n2"
    assert "jobs" not in lines


def test_a_node_may_be_called_like_a_service(tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_text('[nodes.jobs]\ngrpc = "127.0.0.1:7101"\nredis = "redis://127.0.0.1:7000/0"\n')
    lines = fleet_commands(load_settings(path))
    assert lines["jobs"].endswith("replica jobs")
    assert lines["_jobs"].endswith("deltaic jobs")


@pytest.mark.parametrize(
    ("command", "replica", "valkey"),
    [
        ("deltaic replica n1", "n1", False),
        ("deltaic keep -- /opt/venv/bin/deltaic -f fleet.toml replica n1 --takeover", "n1", False),
        ("deltaic keep -- deltaic valkey", None, True),
        ("deltaic jobs --node n1", None, False),
        ("python -m http.server replica n1", None, False),
        ("deltaic replica", None, False),
        ("echo 'an open quote", None, False),
    ],
)
def test_a_command_says_whether_it_runs_a_replica_or_the_server(command, replica, valkey):
    assert (replica_of(command), runs_valkey(command)) == (replica, valkey)


def test_a_procfile_that_cannot_be_read_is_named(tmp_path, settings):
    with pytest.raises(SettingsError, match="no-such-file: cannot be read"):
        read_procfile(tmp_path / "no-such-file", settings)

"""Wheel and sdist: what is in them, what they need, and that a fleet runs from an empty directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from packaging.requirements import Requirement
from redis import Redis
from rq import Worker

import deltaic
from tests.packaging.environments import REPOSITORY, Environment, build
from tests.support import LINUX, free_port, wait_until
from tools.rooms import PACKAGES
from workers.config.settings import JobsSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = JobsSettings().workers
PROTO = Path("proto/deltaic/v1/deltaic.proto")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist."""
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def installed(request: pytest.FixtureRequest, built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel, or with the sdist, and all libraries."""
    environment = Environment(tmp_path_factory.mktemp("environment"))
    environment.show_all_libraries()
    environment.install(built[request.param == "sdist"])
    return environment


@pytest.fixture(scope="module")
def bare(built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment as `pip install deltaic` makes it: with what the package requires, and nothing else."""
    environment = Environment(tmp_path_factory.mktemp("bare"))
    environment.install(built[0])
    environment.show_libraries(environment.requirements())
    return environment


# What is in them --------------------------------------------------------------------------------------------------


def test_the_wheel_brings_the_contract_the_types_and_the_license(built) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        names = wheel.namelist()
        assert wheel.read("workers/rpc/deltaic.proto") == (REPOSITORY / PROTO).read_bytes()
        (license_,) = (name for name in names if name.endswith("/LICENSE"))
        assert wheel.read(license_) == (REPOSITORY / "LICENSE").read_bytes()
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert {name.partition("/")[0] for name in names} == {*PACKAGES, f"deltaic-{deltaic.__version__}.dist-info"}


def test_every_module_is_in_the_wheel(built) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        shipped = {name for name in wheel.namelist() if name.endswith(".py")}
    here = {str(path.relative_to(REPOSITORY)) for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")}
    assert shipped == here


def test_the_sdist_has_the_source_of_the_contract(built) -> None:
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", str(PROTO)} <= names


def test_the_metadata_is_complete_and_invents_nothing(bare: Environment) -> None:
    shown = bare.run("-c", "from importlib.metadata import metadata; print(metadata('deltaic'))").stdout
    for line in (
        f"Version: {deltaic.__version__}",
        "Author: The Deltaic developers",
        "License-Expression: Apache-2.0",
        "License-File: LICENSE",
        "Requires-Python: >=3.11",
        "Provides-Extra: server",
        "Classifier: Typing :: Typed",
    ):
        assert line in shown
    assert "Author-email" not in shown
    assert "Project-URL" not in shown


# The client alone -------------------------------------------------------------------------------------------------


def test_the_client_needs_three_libraries(bare: Environment) -> None:
    assert sorted(Requirement(text).name for text in bare.requirements()) == ["orjson", "redis", "xxhash"]
    done = bare.run("-c", "import deltaic; s = deltaic.ORSet('n1'); s.add('apple'); print(s.value(), deltaic.Client)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{'apple'}")


def test_what_needs_more_is_not_importable_there(bare: Environment) -> None:
    assert "No module named 'click'" in bare.run("-c", "import click").stderr


@pytest.mark.parametrize("arguments", [("--version",), ("status",)])
def test_the_command_says_in_one_line_what_to_install(bare: Environment, arguments: tuple[str, ...]) -> None:
    done = subprocess.run([bare.program("deltaic"), *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        'deltaic: this command needs the server parts of Deltaic (click is missing): pip install "deltaic[server]"\n'
    )


def test_the_server_extra_names_every_library_that_the_workers_import(bare: Environment, built, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "server")
    environment.install(built[0])
    environment.show_libraries(environment.requirements("server"))
    modules = [
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        for path in (REPOSITORY / "workers").rglob("*.py")
        if path.name not in {"__main__.py", "schedule.py"}  # these run when they are imported
    ]
    done = environment.run("-c", f"import importlib\nfor name in {modules!r}: importlib.import_module(name)")
    assert done.returncode == 0, done.stderr


# The whole --------------------------------------------------------------------------------------------------------


def test_the_version(installed: Environment) -> None:
    done = subprocess.run([installed.program("deltaic"), "--version"], capture_output=True, text=True)
    version = ".".join(map(str, sys.version_info[:3]))
    assert done.stdout.startswith(f"deltaic {deltaic.__version__}, CPython {version}"), done.stderr


@pytest.fixture
def ports() -> dict[str, tuple[int, int]]:
    """For each of the five nodes of the default fleet, a port for gRPC and one for the Redis protocol."""
    return {f"n{number}": (free_port(), free_port()) for number in range(1, 6)}


@pytest.fixture
def valkey() -> int:
    """A port for the embedded Valkey."""
    return free_port()


@pytest.fixture
def fleet(installed: Environment, tmp_path: Path, ports, valkey) -> Iterator[tuple[subprocess.Popen[bytes], Path, str]]:
    """`deltaic fleet` in an empty directory, its output, and what the environment of all its processes contains."""
    directory, mark = tmp_path / "empty", f"TEST_OF_THE_PACKAGE={uuid4()}"
    directory.mkdir()
    redis = f"redis://127.0.0.1:{valkey}/0"
    settings = {"DELTAIC_VALKEY__PORT": str(valkey)} | {
        f"DELTAIC_NODES__{name.upper()}__{setting}": value
        for name, (grpc, resp) in ports.items()
        for setting, value in (("GRPC", f"127.0.0.1:{grpc}"), ("RESP", f"127.0.0.1:{resp}"), ("REDIS", redis))
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DELTAIC_", "PYTHON"))}
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [installed.program("deltaic"), "fleet"],
            cwd=directory,
            env=inherited | settings | dict([mark.split("=")]) | {"COLUMNS": "120"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    yield process, output, mark
    for pid in running(mark):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def running(mark: str) -> list[int]:
    """The processes whose environment contains `mark`."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return found


@LINUX
def test_a_fleet_runs_in_an_empty_directory_and_leaves_nothing_behind(fleet, ports, valkey) -> None:
    process, output, mark = fleet

    def is_up() -> bool:
        assert process.poll() is None, output.read_text()
        return "5 replicas are up" in output.read_text()

    wait_until(is_up, 120, f"the replicas to be up in {output}")
    with Redis(port=ports["n1"][1]) as n1, Redis(port=ports["n5"][1]) as n5:
        assert n1.incr("hits") == 1
        wait_until(lambda: n5.get("hits") == b"1", 30, "the increment to arrive at the other node")
        assert n5.incr("hits") == 2
    with Redis(port=valkey) as redis:
        wait_until(lambda: len(Worker.all(connection=redis)) == WORKERS, 60, "the RQ workers to have begun")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0, output.read_text()
    assert running(mark) == []

"""The container engine: is there one, and does it have the images? Where not, a test gives up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import give_up

__all__ = ["REPOSITORY", "compose_command", "engine_version", "make_images_available"]

REPOSITORY = Path(__file__).parents[2]
ENGINE_TIMEOUT_S = 30


def engine_version() -> str:
    """The version of the engine that answers the `docker` command."""
    docker = shutil.which("docker")
    if docker is None:
        give_up("no container engine: there is no `docker` command")
    try:
        asked = subprocess.run(
            [docker, "version", "--format", "{{.Server.Version}}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ENGINE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        give_up(f"no container engine: none answered within {ENGINE_TIMEOUT_S} s")
    if asked.returncode != 0:
        give_up(f"no container engine: {asked.stderr.strip()}")
    return asked.stdout.strip()


def make_images_available() -> None:
    """Pulls the images, or builds the stand-ins (`docker/standins.sh`); keeps what is there already."""
    script = REPOSITORY / "docker" / "standins.sh"
    done = subprocess.run(
        [script], env=os.environ | {"PYTHON": sys.executable}, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        give_up(f"no images: {script.name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def compose_command() -> list[str]:
    """`docker compose` where the client has it, else `docker-compose`."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0:
        return [docker, "compose"]
    standalone = shutil.which("docker-compose")
    if standalone is None:
        give_up("neither `docker compose` nor `docker-compose` is installed")
    return [standalone]

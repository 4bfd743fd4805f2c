"""Deltaic 0.1.0, beside which this one is measured: its code comes from git, its libraries from this environment."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

from bench.errors import BaselineMissing

__all__ = ["VERSION", "unpack"]

VERSION = "0.1.0"
COMMIT = "1633b0f"
ROOT = Path(__file__).parents[1]
PACKAGES = ("crdt_core", "workers")


def unpack(directory: Path) -> Path:
    """Put the code of the baseline into `directory`, and return that; `python -m workers.cli` runs it from there.

    Raises `BaselineMissing` where the repository does not have it.
    """
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", COMMIT, *PACKAGES]
    try:
        archive = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise BaselineMissing(VERSION, COMMIT) from error
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(directory, filter="data")
    return directory

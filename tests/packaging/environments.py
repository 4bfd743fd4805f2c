"""Wheel and sdist of this repository, and empty environments to install them into.

Libraries are not downloaded: an environment shows those that the tests themselves run with, all of them or only those
that the package asks for.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Environment", "build"]

REPOSITORY = Path(__file__).parents[2]
SOURCES = (
    "CHANGELOG.md",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "pyproject.toml",
    "crdt_core",
    "deltaic",
    "proto",
    "workers",
)


def build(directory: Path) -> tuple[Path, Path]:
    """The wheel and the sdist; the wheel is built from the sdist."""
    source, out = directory / "source", directory / "dist"
    source.mkdir()
    for name in SOURCES:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


class Environment:
    """A virtual environment in `directory` without anything in it."""

    def __init__(self, directory: Path) -> None:
        venv.create(directory, symlinks=True)
        self._directory = directory
        self.python = directory / "bin" / "python"
        (self.site_packages,) = directory.glob("lib/python*/site-packages")

    def program(self, name: str) -> Path:
        """A console script."""
        return self._directory / "bin" / name

    def show_all_libraries(self) -> None:
        """Make every library importable that these tests can import, but not this repository."""
        places = {Path(str(found.locate_file(""))).resolve() for found in distributions()}
        lines = [f"{place}\n" for place in sorted(places) if not (place / "workers").exists()]
        (self.site_packages / "libraries.pth").write_text("".join(lines))

    def show_libraries(self, requirements: Iterable[str]) -> None:
        """Make only those libraries importable that `requirements` name, and what these need."""
        for name in _closure(requirements):
            found = distribution(name)
            for top in {file.parts[0] for file in found.files or () if file.parts[0] not in {"..", "__pycache__"}}:
                link = self.site_packages / top
                if not link.exists():
                    link.symlink_to(Path(str(found.locate_file(top))).resolve())

    def install(self, file: Path) -> None:
        """Install a wheel or an sdist, without what it requires."""
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--quiet",
            "--python",
            self.python,
            "install",
        ]
        _run(*pip, "--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed", file)

    def requirements(self, extra: str = "") -> list[str]:
        """What the installed package requires, with an extra or without."""
        (found,) = (found for found in distributions(path=[str(self.site_packages)]) if found.name == "deltaic")
        return _requirements(found, extra)

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the environment's Python, which sees nothing but the environment."""
        return subprocess.run([self.python, "-I", *arguments], capture_output=True, text=True)


def _closure(requirements: Iterable[str]) -> set[str]:
    names: set[str] = set()
    waiting = [Requirement(text).name for text in requirements]
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += [Requirement(text).name for text in _requirements(distribution(name), "")]
    return names


def _requirements(found: Distribution, extra: str) -> list[str]:
    wanted = []
    for text in found.requires or ():
        marker = Requirement(text).marker
        if marker is None or marker.evaluate({"extra": extra}):
            wanted.append(text)
    return wanted


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"

"""Version 0.1.0, installed from its wheel beside the code under test."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["WHEEL", "Installation", "install"]

WHEEL = Path(__file__).parents[1] / "fixtures" / "deltaic-0.1.0-py3-none-any.whl"

SCRIPT = """\
#!{python}
import sys
from workers.cli import main
sys.exit(main())
"""

OWN_MODULES = "import crdt_core.codec, workers.jobs; print(crdt_core.codec.__file__); print(workers.jobs.__file__)"
"""Both modules are packages in later versions, so their paths tell the versions apart."""


@dataclass(frozen=True, slots=True)
class Installation:
    """An installed version: its directory and its `deltaic` command.

    Processes that import from their working directory (`deltaic jobs` and `deltaic cron` start RQ, which does so) must
    run in `directory`: the repository would shadow the installed version.
    """

    directory: Path
    deltaic: Path


def install(directory: Path) -> Installation:
    """Return version 0.1.0, installed into a new environment in `directory`.

    The environment shares the dependencies of the running Python, but not the code under test.
    """
    venv.create(directory, symlinks=True, with_pip=False)
    base = {"base": str(directory), "platbase": str(directory)}
    packages, scripts = (Path(sysconfig.get_path(name, "venv", base)) for name in ("purelib", "scripts"))
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(packages)
    # Directories that a .pth file names are searched last, and .pth files in them are not read: so an editable
    # installation of the code under test stays out.
    shared = [entry for entry in sys.path if Path(entry).name in {"site-packages", "dist-packages"}]
    (packages / "dependencies.pth").write_text("\n".join(shared), "utf-8")
    python, deltaic = scripts / "python", scripts / "deltaic"
    deltaic.write_text(SCRIPT.format(python=python), "utf-8")
    deltaic.chmod(0o755)
    found = subprocess.run([python, "-P", "-c", OWN_MODULES], capture_output=True, text=True, check=True, timeout=60)
    expected = [str(packages / "crdt_core" / "codec.py"), str(packages / "workers" / "jobs.py")]
    assert found.stdout.split() == expected, f"{python} does not run what {WHEEL.name} holds: {found.stdout}"
    return Installation(directory, deltaic)

"""What it was measured on and with: figures say nothing without it."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from bench.load import tool_version
from workers.processes.embedded import server_binary

__all__ = ["busy", "commit", "described"]

ROOT = Path(__file__).parents[1]
LIBRARIES = ("hiredis", "orjson", "redis")
BUSY = 0.5  # of the cores


def described() -> dict[str, str]:
    """Processor, cores, memory, kernel, and the version of everything that takes part."""
    server = subprocess.run([server_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / (1 << 30):.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "server": " ".join(server.split()[:3]),
        "load generator": tool_version(),
        "libraries": ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES),
    }


def commit() -> str:
    """Of the code that is measured; a `+` behind it says that it was changed since."""
    try:
        name, changes = (
            _git("rev-parse", "--short", "HEAD"),
            _git("status", "--porcelain", "--", "workers", "crdt_core"),
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + ("+" if changes else "")


def busy() -> float | None:
    """The load of the last minute, if something else has used so much of the machine that figures mean little."""
    load = os.getloadavg()[0]
    return load if load > BUSY * len(os.sched_getaffinity(0)) else None


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def _field(file: str, name: str) -> str:
    """The first value of `name : value`; empty where there is none."""
    try:
        lines = Path(file).read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")

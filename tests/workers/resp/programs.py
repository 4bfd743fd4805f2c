"""Redis's own programs, unmodified, as the machine has them (Debian: redis-tools)."""

from __future__ import annotations

import subprocess

from tests.support import program

__all__ = ["redis_benchmark", "redis_cli"]

TIMEOUT_S = 120


def redis_cli(port: int, *arguments: str, input_: bytes = b"") -> str:
    """What it prints; `input_` is what is typed or piped."""
    return _run("redis-cli", port, *arguments, input_=input_)


def redis_benchmark(port: int, *arguments: str) -> str:
    """What it prints."""
    return _run("redis-benchmark", port, *arguments)


def _run(name: str, port: int, *arguments: str, input_: bytes = b"") -> str:
    path = program(name, "redis-tools")
    done = subprocess.run(
        [path, "-p", str(port), *arguments], input=input_, capture_output=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"WARNING" not in done.stderr, done.stderr  # such as that the server's settings cannot be read
    return done.stdout.decode()

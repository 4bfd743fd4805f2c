"""What tests of processes and servers share: waiting for a condition instead of sleeping, ports nobody else uses.

The rule where this machine lacks what a test needs (`give_up`): the test skips and says why; in CI (`CI` is set) it
fails, because a test that nobody runs proves nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import inspect
import os
import random
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn, TypeVar

import grpc
import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = [
    "DELTAIC",
    "LINUX",
    "cpu_s",
    "free_port",
    "free_ports_above",
    "give_up",
    "plain_environment",
    "program",
    "resident_bytes",
    "wait_until",
    "wait_until_async",
]

T = TypeVar("T")

DELTAIC = Path(sys.executable).with_name("deltaic")
"""The command of the code under test."""

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

FIRST_PORT = 20_000  # below what the kernel gives to outgoing connections, which would take a port between two tests
LAST_PORT = 32_000
FIRST_PORT_OF_FOUR_DIGITS = 7_500  # above the ports of the fleet that comes with Deltaic

_reserved: dict[int, IO[str]] = {}


def wait_until(predicate: Callable[[], T], timeout: float = 10.0, what: str = "the condition") -> T:
    """The first true value of `predicate`, asked again and again; fails the test after `timeout` seconds.

    What `predicate` raises as an `AssertionError`, an `OSError` or an error of gRPC counts as "not yet" (a worker that
    begins anew ends the calls that are under way), and is shown if it stays so.
    """
    deadline = time.monotonic() + timeout
    pause = _pauses()
    while True:
        last: object
        try:
            value = predicate()
            if value:
                return value
            last = value
        except (AssertionError, OSError, grpc.RpcError) as error:
            last = repr(error)
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}; last: {last}")
        time.sleep(next(pause))


async def wait_until_async(
    predicate: Callable[[], T | Awaitable[T]],
    timeout: float = 10.0,  # noqa: ASYNC109  the same arguments as above
    what: str = "the condition",
) -> T:
    """As `wait_until`, letting the event loop run meanwhile; `predicate` may be a coroutine function."""
    deadline = time.monotonic() + timeout
    pause = _pauses()
    while True:
        last: object
        try:
            value = predicate()
            result: T = await value if inspect.isawaitable(value) else value  # type: ignore[assignment]
            if result:
                return result
            last = result
        except (AssertionError, OSError, grpc.RpcError) as error:
            last = repr(error)
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}; last: {last}")
        await asyncio.sleep(next(pause))


def _pauses():
    """Seconds between two looks: short at first, for what happens at once."""
    pause = 0.005
    while True:
        yield pause
        pause = min(0.1, pause * 1.5)


def give_up(reason: str) -> NoReturn:
    """Skips the test for `reason`; fails it in CI."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"{reason}; in CI that is a failure")
    pytest.skip(reason)


def program(name: str, package: str) -> str:
    """Where the program is; gives the test up on a machine that lacks it. Debian has it in `package`."""
    path = shutil.which(name)
    if path is None:
        give_up(f"{name} is not on this machine (Debian: {package})")
    return path


def plain_environment() -> dict[str, str]:
    """The variables of this process without settings of Deltaic: those of a test are in its fleet file."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DELTAIC_")}


def resident_bytes(pid: int | None) -> int:
    """The memory of process `pid`."""
    assert pid is not None
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int | None) -> float:
    """The seconds that a processor has spent on process `pid`: how long it takes, however busy the machine is."""
    assert pid is not None
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free, and that no other test here is given while this process lives."""
    while True:
        port = random.randrange(FIRST_PORT, LAST_PORT)
        if port not in _reserved and _is_free(port) and _reserve(port):
            return port


def free_ports_above(*offsets: int) -> int:
    """A port of four digits above which the ports at all `offsets` are as `free_port` gives them."""
    while True:
        first = random.randrange(FIRST_PORT_OF_FOUR_DIGITS, 10_000 - max(offsets))
        ports = [first + offset for offset in offsets]
        if all(port not in _reserved and _is_free(port) for port in ports) and all(map(_reserve, ports)):
            return first


def _reserve(port: int) -> bool:
    """Whether nobody else has the port's file locked; the lock goes with the process."""
    directory = Path(tempfile.gettempdir(), "deltaic-test-ports")
    directory.mkdir(exist_ok=True)
    file = (directory / str(port)).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    _reserved[port] = file
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

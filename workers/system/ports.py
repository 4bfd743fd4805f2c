"""Which TCP ports of this machine are free, who holds those that are not, and who answers."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from ipaddress import ip_address
from pathlib import Path

from crdt_core.errors import SettingsError, WorldError

__all__ = ["PortTaken", "answers", "claim", "is_loopback", "split_address"]

LISTEN = "0A"  # the state in /proc/net/tcp


class PortTaken(WorldError):
    """`wanted_by` cannot listen on `port`: `holder` does; `setting` is where to choose another."""

    def __init__(self, port: int, wanted_by: str, setting: str, holder: str | None) -> None:
        taken = f"is taken by {holder}" if holder else "is taken"
        super().__init__(f"port {port}, wanted by {wanted_by}, {taken}: end that process, or change {setting}")
        self.port = port
        self.wanted_by = wanted_by
        self.setting = setting
        self.holder = holder


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`.

    >>> split_address("[::1]:7101")
    ('::1', 7101)
    """
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens at `host`.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


def claim(host: str, port: int, *, wanted_by: str, setting: str) -> socket.socket:
    """A socket bound to the port, which holds it until closed; never listens.

    Raises `PortTaken`, or `SettingsError` where `host` is no address of this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        claimed = socket.socket(family, kind)
    except OSError as error:
        raise SettingsError(setting, f"{host} cannot be resolved: {error.strerror}") from error
    # As the servers do: connections that are only lingering are no obstacle.
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        claimed.bind(address)
    except OSError as error:
        claimed.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(port, wanted_by, setting, _holder(port)) from error
        raise SettingsError(setting, f"{host}:{port} cannot be bound on this machine: {error.strerror}") from error
    return claimed


def answers(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def _holder(port: int) -> str | None:
    """Command line and pid of the process that listens on `port`, where the system shows it (Linux, own processes)."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        with contextlib.suppress(OSError):
            if any(_link(handle) in sockets for handle in (process / "fd").iterdir()):
                program, *arguments = (process / "cmdline").read_text(errors="replace").rstrip("\0").split("\0")
                command = " ".join([Path(program).name, *arguments])
                return f"{command[:60]} (pid {process.name})"
    return None


def _link(handle: Path) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(handle)
    return ""


def _listening_inodes(port: int) -> set[str]:
    """Inodes of the sockets that listen on `port`.

    A row of `/proc/net/tcp`: number, `address:port` in hexadecimal, peer, state, four more, the owner's id, a
    timeout, the inode.
    """
    rows: list[list[str]] = []
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            rows += [line.split() for line in Path("/proc/net", table).read_text("ascii").splitlines()[1:]]
    return {row[9] for row in rows if row[3] == LISTEN and int(row[1].rpartition(":")[2], 16) == port}

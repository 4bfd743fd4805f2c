"""TCP ports of this machine: reserves a port, names the process that holds it, and checks whether one is served."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from ipaddress import ip_address
from pathlib import Path

from crdt_core.errors import SettingsError, WorldError

__all__ = ["PortTaken", "accepts_connections", "is_loopback", "reserve_port", "split_address"]

_CONNECT_TIMEOUT_S = 1.0
_LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp."""


class PortTaken(WorldError):
    """`wanted_by` cannot listen on `port`, because `holder` does.

    `setting` names the setting that chooses the port. `holder` is `None` where the system does not tell.
    """

    def __init__(self, port: int, wanted_by: str, setting: str, holder: str | None) -> None:
        taken = f"is taken by {holder}" if holder else "is taken"
        super().__init__(f"port {port}, wanted by {wanted_by}, {taken}: end that process, or change {setting}")
        self.port = port
        self.wanted_by = wanted_by
        self.setting = setting
        self.holder = holder


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[v6]:port`.

    >>> split_address("[::1]:7101")
    ('::1', 7101)
    """
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens at `host`.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


def reserve_port(host: str, port: int, *, wanted_by: str, setting: str) -> socket.socket:
    """Return a socket that is bound to the port and does not listen. Nobody listens on the port at that moment.

    Until the socket is closed, the kernel does not choose the port for anybody who asks for any free port. A server
    that asks for this port still gets it. Raises `PortTaken` where another process listens on the port, and
    `SettingsError` where `host` is no address of this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        reserved = socket.socket(family, kind)
    except OSError as error:
        raise SettingsError(setting, f"{host} cannot be resolved: {error.strerror}") from error
    # The servers set this option too: connections in TIME_WAIT do not keep them from binding.
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reserved.bind(address)
    except OSError as error:
        reserved.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(port, wanted_by, setting, _holder(port)) from error
        raise SettingsError(setting, f"{host}:{port} cannot be bound on this machine: {error.strerror}") from error
    return reserved


def accepts_connections(host: str, port: int) -> bool:
    """Return whether a process accepts connections at this address; waits for up to a second."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S):
        return True
    return False


def _holder(port: int) -> str | None:
    """Return command line and pid of the process that listens on `port`.

    `None` where the system does not show it: only Linux does, and only for processes of the same user.
    """
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
    """Return the inodes of the sockets that listen on `port`.

    A row of `/proc/net/tcp` holds: number, `address:port` in hexadecimal, peer, state, four more fields, the owner's
    id, a timeout, the inode.
    """
    rows: list[list[str]] = []
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            rows += [line.split() for line in Path("/proc/net", table).read_text("ascii").splitlines()[1:]]
    return {row[9] for row in rows if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port}

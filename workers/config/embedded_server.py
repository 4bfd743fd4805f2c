"""Says which URLs are that of the embedded server, and gives them its password.

A fleet file need not repeat the server's password in the URL of each node. The URLs get it when the settings are
loaded, so all processes and commands of the fleet use it. A URL with credentials of its own keeps them. What members
publish about themselves is the URL without the password: whoever reads it has the password in a fleet file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from workers.config.secret_files import password_in

if TYPE_CHECKING:
    from workers.config.protection import ValkeySettings
    from workers.config.settings import FleetSettings, NodeSettings

__all__ = ["HOST", "completed", "completed_node", "names_server", "with_server_password"]

HOST = "127.0.0.1"
_HOST_NAMES = frozenset({HOST, "localhost"})


def names_server(url: str, port: int) -> bool:
    """Return whether `url` is that of the embedded server, which listens on `port`."""
    parts = urlsplit(url)
    host, number = parts.hostname or "localhost", parts.port or 6379
    return parts.scheme == "redis" and host in _HOST_NAMES and number == port


def completed(url: str, server: ValkeySettings) -> str:
    """Return `url` with the password of the embedded server, if it is that server's and has no credentials.

    >>> from workers.config.protection import ValkeySettings
    >>> completed("redis://127.0.0.1:7000/0", ValkeySettings(password="p/w"))
    'redis://:p%2Fw@127.0.0.1:7000/0'
    """
    if server.password is None or not server.embedded or "@" in url or not names_server(url, server.port):
        return url
    return url.replace("://", f"://:{quote(server.password.get_secret_value(), safe='')}@", 1)


def with_server_password(settings: FleetSettings) -> FleetSettings:
    """Return `settings` with the password out of its file, and with it in the URLs of all nodes on the server.

    Raises `SettingsError` for a file that cannot be used.
    """
    server = settings.valkey
    password = password_in("valkey.password_file", server.password_file if server.embedded else None)
    if password is not None:
        server = server.model_copy(update={"password": SecretStr(password)})
    nodes = {name: completed_node(node, server) for name, node in settings.nodes.items()}
    return settings.model_copy(update={"nodes": nodes, "valkey": server})


def completed_node(node: NodeSettings, server: ValkeySettings) -> NodeSettings:
    """Return `node` with the password of the embedded server in its URLs, if they are that server's."""
    urls = {field: url for field, url in (("redis", node.redis), ("jobs", node.jobs)) if url is not None}
    changed = {field: completed(url, server) for field, url in urls.items() if completed(url, server) != url}
    found = node.model_copy(update=changed)
    if "redis" in changed:
        found.publish(node.redis)
    return found

"""What a Redis URL says, read as redis-py reads it, and how it is shown: never with its password.

    redis://[user[:password]@]host[:port][/db]      rediss://... the same over TLS      unix://[user:password@]/path[?db=0]

Characters that mean something in a URL are percent-encoded in users and passwords. TLS is told in the query, by the
names of redis-py: `ssl_ca_certs` (file), `ssl_ca_path` (directory), `ssl_certfile` and `ssl_keyfile` (what the client
shows), `ssl_check_hostname`, `ssl_cert_reqs`, ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.exceptions import RedisError

from crdt_core.errors import SettingsError

if TYPE_CHECKING:
    import ssl

__all__ = ["options_of", "publishable", "shown", "tls_of"]

FORM = "must be redis://, rediss:// or unix://, with user and password percent-encoded"
_OPTIONS = frozenset({"db", "username", "password"})
_HIDDEN = "***"


def options_of(url: str) -> Any:
    """The URL's parts, as a redis-py connection that never connects; raises `ValueError`, which quotes nothing of it.

    An option that the commit path would not know is refused: it would hold for some of the connections only.
    """
    try:
        parts: dict[str, Any] = dict(parse_url(url))
        kind = parts.pop("connection_class", Connection)
        if all(name in _OPTIONS or name.startswith("ssl_") for name in _query_names(url)):
            return kind(**parts)
    except TypeError:
        pass
    except (ValueError, RedisError):
        raise ValueError(FORM) from None  # what is quoted there may be a piece of the password
    raise ValueError("has an option that is not known here: there are db, username, password and redis-py's ssl_...")


def tls_of(url: str) -> ssl.SSLContext | None:
    """How to speak TLS with the Redis at `url`, `None` where it is not to be spoken; reads the files that are named.

    Raises `SettingsError` where they cannot be used.
    """
    options = options_of(url)
    if not isinstance(options, SSLConnection):
        return None
    try:
        context: ssl.SSLContext = options.ssl_context.get()
    except (OSError, ValueError, RedisError) as error:
        raise SettingsError(f"Redis URL {shown(url)}", f"its TLS files cannot be used: {error}") from error
    return context


def shown(url: str) -> str:
    """`url` without its password, fit for a terminal or a log; also for one that is none.

    >>> shown("redis://deltaic:s3cret@10.0.0.1:6379/0")
    'redis://deltaic:***@10.0.0.1:6379/0'
    >>> shown("redis://:s/3#c@10.0.0.1"), shown("rediss://h?password=s3cret&ssl_ca_certs=/ca.pem")
    ('redis://:***@10.0.0.1', 'rediss://h?password=***&ssl_ca_certs=/ca.pem')
    """
    scheme, separator, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    if "@" in query:  # a password that should have been percent-encoded ends there
        return f"{scheme}{separator}{_HIDDEN}"
    credentials, at, address = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    options = [(name, _hidden(name, value)) for name, value in parse_qsl(query)]
    asked = f"?{urlencode(options, safe='/*:')}" if options else ""
    return f"{scheme}{separator}{user}{colon}{_HIDDEN if colon else ''}{at}{address}{asked}"


def publishable(url: str) -> str:
    """`url` as members may write it down for all to read: nothing where there is a password in it.

    Then every node's fleet file has to name that node.

    >>> publishable("redis://10.0.0.1:6379/0"), publishable("redis://:s3cret@10.0.0.1:6379/0")
    ('redis://10.0.0.1:6379/0', '')
    """
    return url if shown(url) == url else ""


def _hidden(name: str, value: str) -> str:
    return _HIDDEN if "password" in name else value


def _query_names(url: str) -> list[str]:
    return [name for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True)]

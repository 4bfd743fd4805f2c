"""Parses Redis URLs as redis-py does, and shows them without their passwords.

    redis://[user[:password]@]host[:port][/db]      rediss://... the same over TLS      unix://[user:password@]/path[?db=0]

Characters with a meaning in URLs are percent-encoded in users and passwords. TLS options are in the query, under the
names of redis-py: `ssl_ca_certs` (file), `ssl_ca_path` (directory), `ssl_certfile` and `ssl_keyfile` (the client's
certificate and key), `ssl_check_hostname`, `ssl_cert_reqs`, ...
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from crdt_core.errors import SettingsError

if TYPE_CHECKING:
    import ssl

__all__ = ["check_url", "options_of", "publishable", "redacted", "tls_of"]

_FORM = "must be redis://, rediss:// or unix://, with user and password percent-encoded"
_OPTIONS = frozenset({"db", "username", "password"})
_HIDDEN = "***"
_PLAIN = re.compile(r"redis://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:([1-9][0-9]{0,3}|[1-5][0-9]{4}))?(/[0-9]{1,3})?")
"""URLs that redis-py certainly takes."""


def check_url(url: str) -> None:
    """Raise `ValueError` as `options_of` does.

    A URL of host, port and database only needs no redis-py, whose import takes longer than the rest of a short command.
    """
    if not _PLAIN.fullmatch(url):
        options_of(url)


def options_of(url: str) -> Any:
    """Return the options in `url` as the attributes of a redis-py connection that never connects.

    Raises `ValueError`, whose text quotes nothing of the URL. An option that `workers.wire.connection` does not know is
    refused: otherwise it would apply to some of the worker's connections only.
    """
    from redis.asyncio.connection import Connection, parse_url  # noqa: PLC0415  see `check_url`
    from redis.exceptions import RedisError  # noqa: PLC0415

    try:
        parts: dict[str, Any] = dict(parse_url(url))
        kind = parts.pop("connection_class", Connection)
        if all(name in _OPTIONS or name.startswith("ssl_") for name in _query_names(url)):
            return kind(**parts)
    except TypeError:
        pass
    except (ValueError, RedisError):
        raise ValueError(_FORM) from None  # The original text may quote a piece of the password.
    raise ValueError("has an unknown option; known are db, username, password and redis-py's ssl_...")


def tls_of(url: str) -> ssl.SSLContext | None:
    """Return the TLS context for the Redis at `url`, or `None` for a URL without TLS.

    Reads the files that the URL names. Raises `SettingsError` where they cannot be used.
    """
    from redis.asyncio.connection import SSLConnection  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415

    options = options_of(url)
    if not isinstance(options, SSLConnection):
        return None
    try:
        context: ssl.SSLContext = options.ssl_context.get()
    except (OSError, ValueError, RedisError) as error:
        raise SettingsError(f"Redis URL {redacted(url)}", f"its TLS files cannot be used: {error}") from error
    return context


def redacted(url: str) -> str:
    """Return `url` without its password, for terminals and logs. It accepts text that is no URL, too.

    >>> redacted("redis://deltaic:s3cret@10.0.0.1:6379/0")
    'redis://deltaic:***@10.0.0.1:6379/0'
    >>> redacted("redis://:s/3#c@10.0.0.1"), redacted("rediss://h?password=s3cret&ssl_ca_certs=/ca.pem")
    ('redis://:***@10.0.0.1', 'rediss://h?password=***&ssl_ca_certs=/ca.pem')
    """
    scheme, separator, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    if "@" in query:  # The "?" belongs to a password that should have been percent-encoded, and ends at the "@".
        return f"{scheme}{separator}{_HIDDEN}"
    credentials, at, address = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    options = [(name, _hidden(name, value)) for name, value in parse_qsl(query)]
    shown_query = f"?{urlencode(options, safe='/*:')}" if options else ""
    return f"{scheme}{separator}{user}{colon}{_HIDDEN if colon else ''}{at}{address}{shown_query}"


def publishable(url: str) -> str:
    """Return `url` if all members may read it, and an empty string if it holds a password.

    In the second case, the fleet file of every node has to name the node that uses it.

    >>> publishable("redis://10.0.0.1:6379/0"), publishable("redis://:s3cret@10.0.0.1:6379/0")
    ('redis://10.0.0.1:6379/0', '')
    """
    return url if redacted(url) == url else ""


def _hidden(name: str, value: str) -> str:
    return _HIDDEN if "password" in name else value


def _query_names(url: str) -> list[str]:
    return [name for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True)]

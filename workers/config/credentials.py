"""The password and the certificates with which faces and clients prove who they are. Read once, at the entry point.

The password is a bearer token in the metadata of gRPC calls, and the argument of AUTH for Redis clients. A face with a
certificate speaks only TLS. With a CA as well, its clients must show a certificate that this CA has signed (mutual
TLS), and gRPC clients trust this CA and no other.
"""

from __future__ import annotations

import hmac
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc

from crdt_core.errors import SettingsError
from workers.config.secret_files import content_of, password_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workers.config.protection import SecuritySettings

__all__ = ["Credentials", "resp_tls"]

_HEADER = "authorization"
_SCHEME = "Bearer "


@dataclass(frozen=True, slots=True)
class Credentials:
    """The password and the PEM texts of the gRPC face; `None` for what is not set. The `repr` shows none of them."""

    password: str | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    ca: bytes | None = field(default=None, repr=False)

    @classmethod
    def read(cls, security: SecuritySettings) -> Credentials:
        """Return the content of the files that the settings name; raises `SettingsError` for an unusable file."""
        return cls(
            _password(security),
            content_of("security.grpc_certificate", security.grpc_certificate),
            content_of("security.grpc_key", security.grpc_key),
            content_of("security.grpc_ca", security.grpc_ca),
        )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata that a client sends with every call."""
        return () if self.password is None else ((_HEADER, _SCHEME + self.password),)

    def admits(self, metadata: Iterable[tuple[str, str | bytes]]) -> bool:
        """Return whether a call's metadata carries the password; always true where there is no password.

        The comparison takes the same time however much of the given password is right.
        """
        if self.password is None:
            return True
        given = next((value for name, value in metadata if name == _HEADER), "")
        sent = given.encode() if isinstance(given, str) else given
        return hmac.compare_digest(sent, (_SCHEME + self.password).encode())

    def for_server(self) -> grpc.ServerCredentials | None:
        """Return the TLS credentials of the gRPC face, or `None` if it speaks plain text.

        Raises `SettingsError` for a CA without a certificate.
        """
        if self.certificate is None or self.key is None:
            if self.ca is not None:
                raise SettingsError("security.grpc_ca", "needs grpc_certificate and grpc_key beside it")
            return None
        return grpc.ssl_server_credentials(
            [(self.key, self.certificate)], root_certificates=self.ca, require_client_auth=self.ca is not None
        )

    def for_client(self) -> grpc.ChannelCredentials | None:
        """Return the TLS credentials of a gRPC client, or `None` if it speaks plain text.

        Without a CA of its own, the client trusts the CAs of the machine.
        """
        if self.certificate is None and self.ca is None:
            return None
        if self.ca is None:
            return grpc.ssl_channel_credentials()
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)


def resp_tls(security: SecuritySettings) -> ssl.SSLContext | None:
    """Return the TLS context of the Redis face, or `None` if it speaks plain text.

    Raises `SettingsError` for an unusable file.
    """
    if security.resp_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    content_of("security.resp_certificate", security.resp_certificate)
    content_of("security.resp_key", security.resp_key)
    content_of("security.resp_ca", security.resp_ca)
    try:
        context.load_cert_chain(security.resp_certificate, security.resp_key, _no_passphrase)
    except ssl.SSLError as error:
        raise SettingsError("security.resp_certificate", f"cannot be used with resp_key: {error.reason}") from error
    if security.resp_ca is not None:
        try:
            context.load_verify_locations(security.resp_ca)
        except ssl.SSLError as error:
            raise SettingsError("security.resp_ca", f"cannot be used: {error.reason}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_passphrase() -> str:
    """Return no passphrase for an encrypted key: no person sits at a worker's terminal who could type one."""
    return ""


def _password(security: SecuritySettings) -> str | None:
    if security.password is not None:
        return security.password.get_secret_value()
    return password_in("security.password_file", security.password_file)

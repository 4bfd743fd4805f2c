"""What the faces and their clients show each other: a password, and certificates. Read once, at the entry point.

The password is a bearer token in the metadata of gRPC calls, and what Redis's clients say with AUTH. With a certificate
of its own a face speaks TLS, and nothing else; with a CA, too, its clients must show a certificate that the CA has
signed (mutual TLS). Clients over gRPC then trust the CA and no other.
"""

from __future__ import annotations

import hmac
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import structlog

from crdt_core.errors import SettingsError
from workers.system.ports import is_loopback, split_address

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from workers.config.settings import SecuritySettings

__all__ = ["Credentials", "resp_tls", "warn_of_exposure"]

log = structlog.get_logger()

_HEADER = "authorization"
_SCHEME = "Bearer "


@dataclass(frozen=True, slots=True)
class Credentials:
    """The password and the PEM texts; `None` where there are none. Nothing of them is ever shown."""

    password: str | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    ca: bytes | None = field(default=None, repr=False)

    @classmethod
    def read(cls, security: SecuritySettings) -> Credentials:
        """What the settings name; raises `SettingsError` for a file that cannot be used."""
        return cls(
            _password(security),
            _content("security.grpc_certificate", security.grpc_certificate),
            _content("security.grpc_key", security.grpc_key),
            _content("security.grpc_ca", security.grpc_ca),
        )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a client sends with every call."""
        return () if self.password is None else ((_HEADER, _SCHEME + self.password),)

    def admits(self, metadata: Iterable[tuple[str, str | bytes]]) -> bool:
        """Whether a call with that metadata knows the password; it takes the same time however much of it is right."""
        if self.password is None:
            return True
        given = next((value for name, value in metadata if name == _HEADER), "")
        shown = given.encode() if isinstance(given, str) else given
        return hmac.compare_digest(shown, (_SCHEME + self.password).encode())

    def for_server(self) -> grpc.ServerCredentials | None:
        """How the face speaks TLS; `None`: it does not. Raises `SettingsError` for a CA without a certificate."""
        if self.certificate is None or self.key is None:
            if self.ca is not None:
                raise SettingsError("security.grpc_ca", "needs grpc_certificate and grpc_key beside it")
            return None
        return grpc.ssl_server_credentials(
            [(self.key, self.certificate)], root_certificates=self.ca, require_client_auth=self.ca is not None
        )

    def for_client(self) -> grpc.ChannelCredentials | None:
        """How a client speaks TLS; `None`: it does not. Without a CA it trusts those of the machine."""
        if self.certificate is None and self.ca is None:
            return None
        if self.ca is None:
            return grpc.ssl_channel_credentials()
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)


def resp_tls(security: SecuritySettings) -> ssl.SSLContext | None:
    """How the Redis face speaks TLS; `None`: it does not. Raises `SettingsError` for a file that cannot be used."""
    if security.resp_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _content("security.resp_certificate", security.resp_certificate)
    _content("security.resp_key", security.resp_key)
    _content("security.resp_ca", security.resp_ca)
    try:
        context.load_cert_chain(security.resp_certificate, security.resp_key, _refused_passphrase)
    except ssl.SSLError as error:
        raise SettingsError("security.resp_certificate", f"cannot be used with resp_key: {error.reason}") from error
    if security.resp_ca is not None:
        try:
            context.load_verify_locations(security.resp_ca)
        except ssl.SSLError as error:
            raise SettingsError("security.resp_ca", f"cannot be used: {error.reason}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def warn_of_exposure(face: str, address: str, security: SecuritySettings) -> None:
    """Logs which settings would protect a face (`grpc`, `resp`) that others can reach at `address` (host:port)."""
    unset = []
    if security.password is None and security.password_file is None:
        unset.append("security.password_file")
    if getattr(security, f"{face}_certificate") is None:
        unset.append(f"security.{face}_certificate")
    if unset and not is_loopback(split_address(address)[0]):
        log.warning("face_unprotected", face=face, address=address, unset=" ".join(unset))


def _refused_passphrase() -> str:
    """What a key that wants a passphrase is told: nobody sits at a worker's terminal to give it."""
    return ""


def _password(security: SecuritySettings) -> str | None:
    if security.password is not None:
        return security.password.get_secret_value()
    content = _content("security.password_file", security.password_file)
    if content is None:
        return None
    password = content.decode("ascii", "replace").removesuffix("\n").removesuffix("\r")
    if not password or not all("!" <= letter <= "~" for letter in password):
        raise SettingsError("security.password_file", "must hold one line of printable ASCII without spaces")
    return password


def _content(setting: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no path"
        raise SettingsError(setting, f"{path} cannot be read: {reason}") from error

"""Declares the settings that say who may use the faces and the embedded server: passwords and certificates.

A password may stand in a file of its own. It is printable ASCII without spaces, so it fits into a header and a URL.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from workers.config.section import Section

__all__ = ["SecuritySettings", "ValkeySettings"]

_TOKEN = re.compile(r"[!-~]+")


def _checked_token(password: SecretStr | None) -> SecretStr | None:
    if password is not None and not _TOKEN.fullmatch(password.get_secret_value()):
        raise ValueError("must be printable ASCII without spaces")
    return password


_Password = Annotated[SecretStr | None, AfterValidator(_checked_token)]


def _check_one_place(password: SecretStr | None, password_file: Path | None) -> None:
    if password is not None and password_file is not None:
        raise ValueError("password and password_file cannot both be set")


class SecuritySettings(Section):
    """Who may use the worker's faces, and whether they speak TLS. Without any of these, the faces are open and plain.

    Health checks need no password, so a supervisor that restarts workers does not have to know it.
    """

    password: _Password = Field(
        default=None,
        description="gRPC calls send it as `authorization: Bearer`, Redis clients with `AUTH`; prefer a file or the "
        "environment",
    )
    password_file: Path | None = Field(default=None, description="file that holds the password on one line")
    grpc_certificate: Path | None = Field(
        default=None, description="PEM file with the worker's certificate and its chain; the gRPC face then speaks TLS"
    )
    grpc_key: Path | None = Field(default=None, description="PEM file with the key of grpc_certificate")
    grpc_ca: Path | None = Field(
        default=None,
        description="PEM file with the CA that clients trust, and that must have signed the clients' certificates",
    )
    resp_certificate: Path | None = Field(
        default=None, description="PEM file with the Redis face's certificate and its chain; it then speaks TLS"
    )
    resp_key: Path | None = Field(default=None, description="PEM file with the key of resp_certificate")
    resp_ca: Path | None = Field(
        default=None,
        description="PEM file with the CA that must have signed the certificates of the Redis face's clients",
    )

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        _check_one_place(self.password, self.password_file)
        if (self.grpc_certificate is None) != (self.grpc_key is None):
            raise ValueError("grpc_certificate and grpc_key need each other")
        if (self.resp_certificate is None) != (self.resp_key is None):
            raise ValueError("resp_certificate and resp_key need each other")
        if self.resp_ca is not None and self.resp_certificate is None:
            raise ValueError("resp_ca needs resp_certificate and resp_key beside it")
        return self


class ValkeySettings(Section):
    """The embedded server of `deltaic fleet`. It is not used where `embedded` is false."""

    embedded: bool = Field(
        default=True, description="whether to start a server for the nodes whose Redis URL names its port"
    )
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=7000, description="port on 127.0.0.1")
    directory: Path = Field(default=Path(".deltaic/valkey"), description="directory of its append-only file")
    appendfsync: Annotated[str, Field(pattern="^(always|everysec|no)$")] = Field(
        default="everysec",
        description="when the server syncs its file to the disk; always: a crash of the machine loses nothing that was "
        "acknowledged, and writes are slower",
    )
    password: _Password = Field(
        default=None,
        description="the server's password, which the fleet's processes use by themselves; prefer a file or the "
        "environment. Default: none, so everybody on this machine can read and write the fleet's data",
    )
    password_file: Path | None = Field(default=None, description="file that holds the server's password on one line")

    @model_validator(mode="after")
    def _has_one_password(self) -> Self:
        _check_one_place(self.password, self.password_file)
        return self

"""The settings with secrets: whole or refused, and shown to nobody."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from workers.config.protection import SecuritySettings, ValkeySettings


@pytest.mark.parametrize(
    ("security", "reason"),
    [
        ({"password": "two words"}, "printable ASCII"),
        ({"password": "x", "password_file": "f"}, "cannot both be set"),
        ({"grpc_certificate": "c.pem"}, "grpc_certificate and grpc_key need each other"),
        ({"resp_key": "k.pem"}, "resp_certificate and resp_key need each other"),
        ({"resp_ca": "ca.pem"}, "resp_ca needs resp_certificate"),
    ],
)
def test_security_settings_are_whole_or_refused(security: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        SecuritySettings(**security)


@pytest.mark.parametrize(
    ("valkey", "reason"),
    [({"password": "two words"}, "printable ASCII"), ({"password": "x", "password_file": "f"}, "cannot both be set")],
)
def test_the_embedded_server_has_one_password_or_none(valkey: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ValkeySettings(**valkey)


def test_no_password_is_shown() -> None:
    settings: list[Any] = [SecuritySettings, ValkeySettings]
    for section in settings:
        assert "s3cret" not in repr(section(password="s3cret"))  # noqa: S106

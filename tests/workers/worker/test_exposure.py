"""Which settings would protect a face that other machines can reach."""

from __future__ import annotations

from pathlib import Path

import structlog
from pydantic import SecretStr

from workers.config.protection import SecuritySettings
from workers.worker.exposure import warn_of_exposure


def test_an_open_face_that_others_can_reach_is_warned_of() -> None:
    password = SecuritySettings(password=SecretStr("s3cret"))
    both = SecuritySettings(
        password=SecretStr("s3cret"), grpc_certificate=Path("certificate.pem"), grpc_key=Path("key.pem")
    )
    with structlog.testing.capture_logs() as logs:
        warn_of_exposure("grpc", "127.0.0.1:7101", SecuritySettings())
        warn_of_exposure("resp", "[::1]:7201", SecuritySettings())
        warn_of_exposure("grpc", "0.0.0.0:7101", both)
        assert logs == []
        warn_of_exposure("grpc", "0.0.0.0:7101", SecuritySettings())
        warn_of_exposure("grpc", "[::]:7101", password)
        warn_of_exposure("resp", "0.0.0.0:7201", both)
    assert [(log["event"], log["face"], log["unset"]) for log in logs] == [
        ("face_unprotected", "grpc", "security.password_file security.grpc_certificate"),
        ("face_unprotected", "grpc", "security.grpc_certificate"),
        ("face_unprotected", "resp", "security.resp_certificate"),
    ]

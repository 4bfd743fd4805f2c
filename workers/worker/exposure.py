"""Warns of a face that other machines can reach without a password or TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from workers.system.ports import is_loopback, split_address

if TYPE_CHECKING:
    from workers.config.protection import SecuritySettings

__all__ = ["warn_of_exposure"]

log = structlog.get_logger()


def warn_of_exposure(face: str, address: str, security: SecuritySettings) -> None:
    """Log which settings would protect a face that other machines can reach; log nothing if it is protected.

    `face` is `grpc` or `resp`, `address` the host:port on which it listens.
    """
    unset = []
    if security.password is None and security.password_file is None:
        unset.append("security.password_file")
    if getattr(security, f"{face}_certificate") is None:
        unset.append(f"security.{face}_certificate")
    if unset and not is_loopback(split_address(address)[0]):
        log.warning("face_unprotected", face=face, address=address, unset=" ".join(unset))

"""Addresses of real nodes, and options for clients on a machine that may be busy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltaic import ClientOptions

if TYPE_CHECKING:
    from tests.fleet import Fleet

__all__ = ["PATIENT", "SHORT", "address", "urls_of"]

PATIENT = ClientOptions(connect_timeout_s=10, reply_timeout_s=20, deadline_s=60, await_timeout_s=2, backoff_max_s=0.2)
"""For calls that are to succeed, however long it takes."""
SHORT = ClientOptions(connect_timeout_s=10, reply_timeout_s=20, deadline_s=1, await_timeout_s=0.2, backoff_max_s=0.2)
"""For calls that are to find no node."""


def address(fleet: Fleet, name: str) -> str:
    """What the client calls the node."""
    return f"127.0.0.1:{fleet[name].resp_port}"


def urls_of(fleet: Fleet, *names: str) -> list[str]:
    """The URLs of the named nodes (none: of all), in that order."""
    return [f"redis://{address(fleet, name)}" for name in names or fleet.nodes]

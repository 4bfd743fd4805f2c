"""What a subscription of redis-py has heard."""

from __future__ import annotations

from typing import Any

__all__ = ["messages"]


def messages(subscription: Any) -> list[tuple[bytes, bytes]]:
    """What has come so far: (channel, message)."""
    found = []
    while (message := subscription.get_message(timeout=0.05)) is not None:
        if message["type"] in {"message", "pmessage"}:
            found.append((message["channel"], message["data"]))
    return found

"""How patient a client is, and how many connections it opens."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from deltaic.errors import InvalidArgument

__all__ = ["ClientOptions"]


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """The settings of a client. All times are in seconds and above zero.

    `connect_timeout_s`: how long a new connection may take, its handshake included. Longer: a node that is cut off is
    left later. Shorter: a slow line counts as a failure.

    `reply_timeout_s`: how long a node may take to reply. Longer: a frozen node is left later. Shorter: more writes end
    as `OutcomeUnknown`. A node itself waits for its Redis for `limits.write_timeout_ms` (10 s unless set).

    `deadline_s`: how long a call goes from node to node. After that it tries no node a second time, so that it ends
    after at most one more reply timeout per node.

    `await_timeout_s`: how long the client waits at one node until the node has the commits that the session has seen,
    before the client tries the next node. Below `reply_timeout_s`.

    `backoff_max_s`: a node that failed is left alone for a moment, and for twice as long after each further failure, up
    to this.

    `connections_max`: connections to one node. A call waits for a free one, for up to `reply_timeout_s`.
    """

    connect_timeout_s: float = 1.0
    reply_timeout_s: float = 5.0
    deadline_s: float = 10.0
    await_timeout_s: float = 1.0
    backoff_max_s: float = 2.0
    connections_max: int = 64

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) not in {int, float} or not 0 < value < math.inf:
                raise InvalidArgument(field.name, f"{value!r} is no number above zero")
        if type(self.connections_max) is not int:
            raise InvalidArgument("connections_max", f"{self.connections_max!r} is no whole number")
        if self.await_timeout_s >= self.reply_timeout_s:
            raise InvalidArgument("await_timeout_s", "it must be below reply_timeout_s")

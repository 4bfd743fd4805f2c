"""What a command that needs the connection runs on: its client, and what all clients of a face share.

Both are interfaces for commands. A connection (`connection`) is a client with bytes behind it. Nothing here knows
connections, so commands and connections do not depend on each other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from itertools import count
from secrets import randbits, token_hex
from time import monotonic
from typing import TYPE_CHECKING, Any

from workers.resp.statistics import Statistics
from workers.resp.writer import Writer
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from crdt_core.commands import Command, CommandOptions, CommandTable, Session
    from workers.config.settings import LimitSettings
    from workers.resp.acknowledgements import Acknowledgements
    from workers.resp.announcer import Announcer
    from workers.resp.channels import Channels
    from workers.resp.node_access import NodeAccess
    from workers.resp.transaction import Transaction, Watch
    from workers.storage.writability import Health

__all__ = ["REDIS_VERSION", "USER", "Client", "ServerFacts", "Services"]

REDIS_VERSION = "7.2.4"
"""The Redis whose replies and errors these are. Client libraries decide by it what they may ask for."""

USER = b"default"
"""The only user."""

_SEED_STEP = 0x9E3779B97F4A7C15


@dataclass(slots=True)
class ServerFacts:
    """What INFO and CONFIG say of the server. Times: `started_s` is monotonic, `started_at_s` is since 1970."""

    connections_max: int
    tls: bool
    host: str = ""
    port: int = 0
    run_id: str = field(default_factory=lambda: token_hex(20))
    started_s: float = field(default_factory=monotonic)
    started_at_s: float = field(default_factory=lambda: wall_ms() / 1000)


@dataclass(kw_only=True, eq=False)
class Services:
    """What all clients of a face share."""

    node: NodeAccess
    table: CommandTable
    """Every command there is."""
    channels: Channels
    announcer: Announcer
    """Tells clients what commits have changed."""
    acknowledgements: Acknowledgements
    """How far the peers have seen this node's commits."""
    options: CommandOptions
    limits: LimitSettings
    broadcast: Callable[[bytes, bytes], None]
    """Has a message heard on a channel of the other nodes."""
    health: Health
    """Whether writes can succeed."""
    server: ServerFacts
    password: bytes | None
    """What clients must show; `None` where all are let in."""
    clients: dict[int, Client] = field(default_factory=dict)
    """Those that are connected, by number."""
    statistics: Statistics = field(default_factory=Statistics)
    """What is counted, since CONFIG RESETSTAT."""
    writer: Writer = field(default_factory=Writer)
    """Writes what is ready for them."""
    next_seed: Callable[[], int] = field(default_factory=lambda: count(randbits(64), _SEED_STEP).__next__)
    """What the next command's random choices come from."""

    def reset_statistics(self) -> None:
        """Count from now on."""
        self.statistics.begin_anew(self.node.expired_keys)


class Client(ABC):
    """One client, numbered `id`, as commands see it.

    `written`: no commit of this node that holds writes of the client has a larger counter. `trusted`: it has logged in.
    `mute`: it wants no replies (`off`), or not the next one (`skip`). Times are monotonic.
    """

    def __init__(self, id_: int, services: Services) -> None:
        self.id = id_
        self.services = services
        self.name = b""
        self.library: dict[bytes, bytes] = {}
        self.address = self.local_address = ""
        self.since_s = self.active_s = monotonic()
        self.last_command = b"NULL"
        self.resp3 = False
        self.trusted = services.password is None
        self.mute = ""
        self.transaction: Transaction | None = None
        self.watch: Watch | None = None
        self.channels: set[bytes] = set()
        self.patterns: set[bytes] = set()
        self.written = 0

    @property
    def subscriptions(self) -> int:
        """How many channels and patterns the client listens to."""
        return len(self.channels) + len(self.patterns)

    @property
    def may_only_listen(self) -> bool:
        """Whether the client, of RESP2, listens to channels: it would take other replies for messages."""
        return bool(self.channels or self.patterns) and not self.resp3

    def end_transaction(self) -> Watch | None:
        """Forget the transaction and the watch; return the watch."""
        watch, self.transaction, self.watch = self.watch, None, None
        return watch

    @property
    @abstractmethod
    def output_bytes(self) -> int:
        """How many bytes the client has yet to read."""

    @property
    @abstractmethod
    def is_settled(self) -> bool:
        """Whether everything that the client has asked for before is answered."""

    @property
    @abstractmethod
    def is_waiting(self) -> bool:
        """Whether a request waits for something other than a commit."""

    @abstractmethod
    def execute(
        self,
        commands: list[tuple[Command[Session], list[bytes]]],
        *,
        watch: Watch | None = None,
        whole: bool = False,
        muted: bool = False,
        bytes_: int | None = None,
    ) -> None:
        """Send plain commands to the replica, as one operation. Each is answered, or none if `muted`.

        `whole`: all replies are one list, or the null list if what `watch` names has changed. `bytes_`: those of all
        arguments; `None` for commands that have just been read.
        """

    @abstractmethod
    def say(self, reply: Any) -> None:
        """Answer with `reply`, behind all replies that are still to come."""

    @abstractmethod
    def push(self, data: bytes) -> None:
        """Send encoded bytes that the client has not asked for. A client that lets too many pile up is cut off."""

    @abstractmethod
    def trust(self) -> None:
        """Trust the client: it has logged in."""

    @abstractmethod
    def distrust(self) -> None:
        """Distrust the client: it is a stranger again."""

    @abstractmethod
    def finish(self) -> None:
        """Close the connection once everything that has been begun is answered."""

    @abstractmethod
    def finish_soon(self) -> None:
        """Close the connection once the request at hand is answered, too."""

    @abstractmethod
    def abort(self) -> None:
        """Close the connection at once."""

"""The row of a command: all that anybody needs to know about it, in one place.

What a request may hold, what COMMAND and HELP say, why a request is refused and what `docs/redis.md` lists: all of it
is read from the rows. A plain command's function takes a `Session`. A command that needs the connection takes the
client in its place. The core does not know connections, so the row is generic in what its function takes.

    Command("string", "INCR key", 2, KEY, "write denyoom fast", _incr, "Adds 1 to a number.", "The amounts add up.")

A subcommand has a row of its own, inside the row of its family: `CLIENT|SETNAME` in `CLIENT`.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from crdt_core.replica.replica import Replica

__all__ = ["ALL_KEYS", "KEY", "NO_KEYS", "PAIRS", "TWO_KEYS", "Command", "Sliced"]

Context = TypeVar("Context")

KEY = (1, 1, 1)
"""The first argument is the only key."""
ALL_KEYS = (1, -1, 1)
"""Every argument is a key."""
TWO_KEYS = (1, 2, 1)
"""The first two arguments are keys."""
PAIRS = (1, -1, 2)
"""Every other argument is a key, the first one included."""
NO_KEYS = (0, 0, 0)
"""No argument is a key, or their places depend on the arguments."""

_FLAG_WORDS = """
    admin allow_busy asking blocking denyoom fast loading movablekeys no_async_loading no_auth no_mandatory_keys
    no_multi noscript pubsub readonly skip_commandlog skip_monitor stale write
"""
_FLAGS = frozenset(_FLAG_WORDS.split())
"""The flags that Valkey 9.1 knows."""
_CATEGORIES = {
    "string": "string",
    "set": "set",
    "hash": "hash",
    "bitmap": "bitmap",
    "hyperloglog": "hyperloglog",
    "generic": "keyspace",
    "connection": "connection",
    "transactions": "transaction",
    "cluster": "connection",
}
"""The category of access control that goes with a group; the other groups have none."""
_CATEGORIES_OF_FLAGS = {"write": "write", "readonly": "read", "pubsub": "pubsub", "blocking": "blocking"}


@dataclass(frozen=True, slots=True)
class Sliced(Generic[Context]):
    """How a command runs whose work does not depend on its arguments alone: part by part, if that is much.

    `steps` does what the command does, yields after each part, and returns the reply. `parts` returns about how many
    parts of a replica the command would change with these arguments, at a wall time in milliseconds.
    """

    steps: Callable[[Context, list[bytes]], Generator[None, None, Any]]
    parts: Callable[[Replica, list[bytes], int], int]


@dataclass(frozen=True, slots=True, eq=False)
class Command(Generic[Context]):
    """One command or subcommand.

    Arguments in capitals are typed as they stand; `[...]` may be left out, `a | b` is one of them, `x [x ...]` is one
    or more. Everything is checked when the row is made: a wrong row raises `ValueError`.
    """

    group: str
    """The group in HELP: `string`, `hash` and the like, `deltaic` for what Redis has no word for."""
    usage: str
    """The name, in capitals, and the arguments. The name of a subcommand is `FAMILY|MEMBER`."""
    arity: int
    """How many words a request has, name included: 2 is exactly two, -2 is at least two."""
    keys: tuple[int, int, int]
    """Where keys are: the first, the last (-1: to the end), the step. See `KEY` and its neighbours."""
    flags: str
    """What COMMAND INFO says, in Redis's words. `write`, `readonly` and `no_auth` also decide what happens here."""
    run: Callable[[Context, list[bytes]], Any]
    """The function. It takes what it runs on and the arguments behind the name; it may raise `CommandError`."""
    summary: str
    """What the command does, in one or two sentences."""
    concurrent: str = ""
    """What concurrent calls at different nodes give; empty for what changes nothing that is replicated."""
    complexity: str = "O(1)"
    """The cost of a call."""
    _: KW_ONLY
    since: str = "0.1.0"
    """The first version of Deltaic that has it."""
    categories: str | None = None
    """Categories of access control beside those of the flags; `None`: that of the group."""
    heavy: bool = False
    """Whether replies may be so large that a pipeline of them must not be held at once."""
    sliced: Sliced[Context] | None = None
    """How to run it where it would be too much for one turn; `None` for a command whose arguments bound its work."""
    connected: bool = False
    """Whether the function takes the client instead of a session."""
    settled: bool = False
    """Whether the command runs only once everything that the client sent before is answered."""
    in_multi: Literal["queued", "at once", "refused"] = "queued"
    """What happens between MULTI and EXEC."""
    while_subscribed: bool = False
    """Whether a client of RESP2 may send it while it listens to channels."""
    members: tuple[Command[Context], ...] = ()
    """The subcommands, of a family."""

    name: bytes = field(init=False)
    """In capitals."""
    words: int = field(init=False)
    """How many words the name has in a request."""
    writes: bool = field(init=False)
    """Whether it needs a turn."""

    def __post_init__(self) -> None:
        flags, name = self.flags.split(), self.usage.partition(" ")[0]
        if not _FLAGS.issuperset(flags) or name != name.upper():
            raise ValueError(f"the row of {name} has an unknown flag, or a name that is not in capitals")
        object.__setattr__(self, "name", name.encode())
        object.__setattr__(self, "words", name.count("|") + 1)
        object.__setattr__(self, "writes", "write" in flags)

    @property
    def title(self) -> str:
        """The name as it is typed: `CLIENT SETNAME`."""
        return self.name.decode().replace("|", " ")

    @property
    def arguments(self) -> str:
        """The arguments, as `usage` has them."""
        return self.usage.partition(" ")[2]

    @property
    def blocks(self) -> bool:
        """Whether it waits for something other than its own commit."""
        return "blocking" in self.flags.split()

    @property
    def for_strangers(self) -> bool:
        """Whether a client that has not logged in may send it."""
        return "no_auth" in self.flags.split()

    @property
    def acl_categories(self) -> list[str]:
        """The categories of access control, as Redis derives them.

        >>> Command("string", "GET key", 2, KEY, "readonly fast", len, "Returns the string.").acl_categories
        ['@fast', '@read', '@string']
        """
        flags = self.flags.split()
        found = {_CATEGORIES_OF_FLAGS[flag] for flag in flags if flag in _CATEGORIES_OF_FLAGS}
        categories = _CATEGORIES.get(self.group, "") if self.categories is None else self.categories
        found |= {"fast" if "fast" in flags else "slow", *categories.split()}
        if "admin" in flags:
            found |= {"admin", "dangerous"}
        return [f"@{category}" for category in sorted(found)]

    def keys_among(self, request: list[bytes]) -> range:
        """The places of the keys in a request, the name being at 0."""
        first, last, step = self.keys
        return range(first, last + 1 if last >= 0 else len(request) + last + 1, step) if first else range(0)

"""The workloads: which commands each request runs, and which fields its reply has.

A handler returns the fields of the reply. The bench accepts exactly the fields that its protocol names, no more and no
fewer. A value is any JSON, so a set keeps it as canonical JSON.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.commands import COMMANDS
from crdt_core.types.counters import check_amount
from workers.maelstrom.protocol import MALFORMED, RequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from crdt_core.commands import Map
    from workers.maelstrom.protocol import Request
    from workers.turns.commands import CommandRunner

__all__ = ["WORKLOADS", "Handlers", "Shell"]

_KEY = b"maelstrom"

Fields = dict[str, Any]


class Shell:
    """What a workload may use: commands of the core (`run`), and messages to peers.

    `tell_peers` sends values to some random peers, and returns to how many, and how many values in all.
    """

    def __init__(self, runner: CommandRunner, tell_peers: Callable[[list[Any]], tuple[int, int]]) -> None:
        self._runner = runner
        self.tell_peers = tell_peers

    async def run(self, name: bytes, *args: bytes) -> Any:
        """Return the reply of the command of that name, in a turn: a read shows what peers have sent before it.

        Raises the `CallerError` that refuses the command.
        """
        return await self._runner.run_in_turn(COMMANDS[name], list(args))


class Handlers:
    """A workload: its handlers by request type."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self.by_type: Mapping[str, Callable[[Request], Awaitable[Fields]]] = {}


class Echo(Handlers):
    """`echo`."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.by_type = {"echo": self._echo}

    async def _echo(self, request: Request) -> Fields:
        return {"echo": request.get("echo")}


class Values(Handlers):
    """What the workloads on one grow-only set of values share."""

    async def _add(self, value: Any) -> int:
        """Add one value; 1 if it was absent, else 0."""
        added: int = await self._shell.run(b"DELTAIC.SET.ADD", _KEY, _encoded(value), b"KIND", b"gset")
        return added

    async def _add_all(self, values: Iterable[Any]) -> int:
        return sum([await self._add(value) for value in values])

    async def _values(self) -> list[Any]:
        return _sorted([orjson.loads(member) for member in await _members(self._shell)])


class Broadcast(Values):
    """The bench's `broadcast`. It acknowledges the topology that the bench suggests, and does not use it."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.by_type = {"broadcast": self._broadcast, "read": self._read, "topology": self._topology}

    async def _broadcast(self, request: Request) -> Fields:
        await self._add(request.get("message"))
        return {}

    async def _read(self, request: Request) -> Fields:  # noqa: ARG002
        return {"messages": await self._values()}

    async def _topology(self, request: Request) -> Fields:
        request.get("topology", dict)
        return {}


class GSet(Values):
    """The bench's `g-set`."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.by_type = {"add": self._add_element, "read": self._read}

    async def _add_element(self, request: Request) -> Fields:
        await self._add(request.get("element"))
        return {}

    async def _read(self, request: Request) -> Fields:  # noqa: ARG002
        return {"value": await self._values()}


class CourseGSet(GSet):
    """A G-Set exercise: `merge` adds the elements of another set."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.by_type = {"add": self._add_element, "merge": self._merge, "read": self._read_elements}

    async def _merge(self, request: Request) -> Fields:
        return {"new_count": await self._add_all(request.get("elements", list))}

    async def _read_elements(self, request: Request) -> Fields:  # noqa: ARG002
        return {"elements": await self._values()}


class Gossip(Broadcast):
    """The exercise in periodic gossip: `gossip_round` sends all values to random peers, `gossip_sync` adds them."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.by_type = {**self.by_type, "gossip_sync": self._sync, "gossip_round": self._round}

    async def _sync(self, request: Request) -> Fields:
        return {"new_count": await self._add_all(request.get("messages", list))}

    async def _round(self, request: Request) -> Fields:  # noqa: ARG002
        peers, messages = self._shell.tell_peers(await self._values())
        return {"peers_contacted": peers, "messages_sent": messages}


class TaggedSet(Handlers):
    """An OR-Set exercise: each add has a tag of its own, and a remove names the tags that it has removed."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.by_type = {"or_set_add": self._add, "or_set_remove": self._remove, "or_set_read": self._read}

    async def _add(self, request: Request) -> Fields:
        tag = str(uuid.uuid4())
        tagged = _encoded([request.get("element"), tag])
        await self._shell.run(b"DELTAIC.SET.ADD", _KEY, tagged, b"KIND", b"orset")
        return {"tag": tag}

    async def _remove(self, request: Request) -> Fields:
        element = request.get("element")
        encoded = _encoded(element)  # 1, 1.0 and true are equal in Python, and three elements in JSON
        tags = [tag for known, tag in await self._pairs() if _encoded(known) == encoded]
        for tag in tags:
            await self._shell.run(b"DELTAIC.SET.REMOVE", _KEY, _encoded([element, tag]))
        return {"tags_removed": tags}

    async def _read(self, request: Request) -> Fields:  # noqa: ARG002
        distinct = {_encoded(element): element for element, _ in await self._pairs()}
        return {"elements": _sorted(distinct.values())}

    async def _pairs(self) -> list[tuple[Any, str]]:
        return [(element, tag) for element, tag in map(orjson.loads, await _members(self._shell))]


class CounterWorkload(Handlers):
    """The bench's counters: `add` of a delta."""

    decrements = True

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.by_type = {"add": self._add, "read": self._read}

    async def _add(self, request: Request) -> Fields:
        delta = request.get("delta", int)
        if delta < 0 and not self.decrements:
            raise RequestError(MALFORMED, "a grow-only counter takes no negative delta")
        kind = b"pncounter" if self.decrements else b"gcounter"
        command = b"DELTAIC.COUNTER.SUBTRACT" if delta < 0 else b"DELTAIC.COUNTER.ADD"
        await self._shell.run(command, _KEY, b"%d" % check_amount(abs(delta)), b"KIND", kind)
        return {}

    async def _read(self, request: Request) -> Fields:  # noqa: ARG002
        reply = await self._shell.run(b"DELTAIC.COUNTER.GET", _KEY)
        return {"value": 0 if reply is None else _field(reply, b"value")}


class GCounterWorkload(CounterWorkload):
    """The bench's `g-counter`."""

    decrements = False


class CourseCounter(GCounterWorkload):
    """A counter exercise: `gossip` learns what other nodes have counted, such as `{"counters": {"n2": 7}}`."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.by_type = {**self.by_type, "gossip": self._gossip}

    async def _gossip(self, request: Request) -> Fields:
        for node, total in request.get("counters", dict).items():
            await self._shell.run(b"DELTAIC.COUNTER.RAISE", _KEY, _name(node), b"%d" % check_amount(total))
        return {}


WORKLOADS: dict[str, type[Handlers]] = {
    "echo": Echo,
    "broadcast": Broadcast,
    "g-set": GSet,
    "g-counter": GCounterWorkload,
    "pn-counter": CounterWorkload,
    "course-g-set": CourseGSet,
    "or-set": TaggedSet,
    "gossip": Gossip,
    "counter": CourseCounter,
}


async def _members(shell: Shell) -> list[bytes]:
    """Return the members of the workload's set."""
    reply = await shell.run(b"DELTAIC.SET.GET", _KEY)
    members: list[bytes] = [] if reply is None else _field(reply, b"members")
    return members


def _field(reply: Map, name: bytes) -> Any:
    """Return the value that a reply has under `name`."""
    return next(value for known, value in reply.items if known == name)


def _name(node: str) -> bytes:
    return node.encode("utf-8", "surrogatepass")


def _encoded(value: Any) -> bytes:
    """Return `value` as canonical JSON. Raises `RequestError` for one that orjson does not write."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise RequestError(MALFORMED, f"a value that cannot be kept: {error}") from error


def _sorted(values: Iterable[Any]) -> list[Any]:
    """Return numbers by size, then strings, then everything else: one order for any JSON."""

    def order(value: Any) -> tuple[int, Any]:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return 0, value
        return (1, value) if isinstance(value, str) else (2, _encoded(value))

    return sorted(values, key=order)

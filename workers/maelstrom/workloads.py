"""The workloads: what a request means for the replica, and what its reply says.

A handler yields the reply's fields. Those of the bench demand no more and no fewer fields than their protocol names.
Values are any JSON, so they are kept as canonical JSON, as members of a set.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.commands.operations import AddToSet, AdjustCounter, GetCounter, GetSet, RaiseShare, RemoveFromSet
from crdt_core.types import GCOUNTER, GSET, ORSET, PNCOUNTER
from workers.maelstrom.protocol import MALFORMED, RequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from crdt_core.commands.operations import Operation
    from workers.maelstrom.protocol import Request

__all__ = ["WORKLOADS", "Handlers", "Shell"]

_KEY = b"maelstrom"

Fields = dict[str, Any]


class Shell:
    """What a workload may use: the replica (`call`), and rounds that tell random peers values (`tell_peers`)."""

    def __init__(
        self, call: Callable[[Operation], Awaitable[Any]], tell_peers: Callable[[list[Any]], tuple[int, int]]
    ) -> None:
        self.call = call
        self.tell_peers = tell_peers


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
    """What all sets of values share."""

    async def _add(self, value: Any) -> bool:
        added: bool = await self._shell.call(AddToSet(_KEY, _encoded(value), GSET))
        return added

    async def _add_all(self, values: Iterable[Any]) -> int:
        return sum([await self._add(value) for value in values])

    async def _values(self) -> list[Any]:
        members, _ = await self._shell.call(GetSet(_KEY))
        return _sorted(orjson.loads(member) for member in members)


class Broadcast(Values):
    """The bench's `broadcast`. The topology that it suggests is acknowledged, and not used."""

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
    """The course's G-Set: `merge` takes another set in."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.by_type = {"add": self._add_element, "merge": self._merge, "read": self._read_elements}

    async def _merge(self, request: Request) -> Fields:
        return {"new_count": await self._add_all(request.get("elements", list))}

    async def _read_elements(self, request: Request) -> Fields:  # noqa: ARG002
        return {"elements": await self._values()}


class Gossip(Broadcast):
    """The course's periodic gossip: `gossip_round` tells random peers what is known, `gossip_sync` takes that in."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.by_type = {**self.by_type, "gossip_sync": self._sync, "gossip_round": self._round}

    async def _sync(self, request: Request) -> Fields:
        return {"new_count": await self._add_all(request.get("messages", list))}

    async def _round(self, request: Request) -> Fields:  # noqa: ARG002
        peers, messages = self._shell.tell_peers(await self._values())
        return {"peers_contacted": peers, "messages_sent": messages}


class TaggedSet(Handlers):
    """The course's OR-Set: every add has a tag of its own, and a remove names the tags that it removed."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.by_type = {"or_set_add": self._add, "or_set_remove": self._remove, "or_set_read": self._read}

    async def _add(self, request: Request) -> Fields:
        tag = str(uuid.uuid4())
        await self._shell.call(AddToSet(_KEY, _encoded([request.get("element"), tag]), ORSET))
        return {"tag": tag}

    async def _remove(self, request: Request) -> Fields:
        element = request.get("element")
        encoded = _encoded(element)  # 1, 1.0 and true are equal in Python, and three elements in JSON
        tags = [tag for known, tag in await self._pairs() if _encoded(known) == encoded]
        for tag in tags:
            await self._shell.call(RemoveFromSet(_KEY, _encoded([element, tag])))
        return {"tags_removed": tags}

    async def _read(self, request: Request) -> Fields:  # noqa: ARG002
        distinct = {_encoded(element): element for element, _ in await self._pairs()}
        return {"elements": _sorted(distinct.values())}

    async def _pairs(self) -> list[tuple[Any, str]]:
        members, _ = await self._shell.call(GetSet(_KEY))
        return [(element, tag) for element, tag in map(orjson.loads, members)]


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
        type_ = PNCOUNTER if self.decrements else GCOUNTER
        await self._shell.call(AdjustCounter(_KEY, abs(delta), type_, decrement=delta < 0))
        return {}

    async def _read(self, request: Request) -> Fields:  # noqa: ARG002
        value, _ = await self._shell.call(GetCounter(_KEY))
        return {"value": value}


class GCounterWorkload(CounterWorkload):
    """The bench's `g-counter`."""

    decrements = False


class CourseCounter(GCounterWorkload):
    """The course's counter: `gossip` takes in what other nodes have counted, `{"counters": {"n2": 7}}`."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.by_type = {**self.by_type, "gossip": self._gossip}

    async def _gossip(self, request: Request) -> Fields:
        for node, total in request.get("counters", dict).items():
            await self._shell.call(RaiseShare(_KEY, str(node), total))
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


def _encoded(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise RequestError(MALFORMED, f"a value that cannot be kept: {error}") from error


def _sorted(values: Iterable[Any]) -> list[Any]:
    """Numbers by size, then strings, then everything else: one order for any JSON."""

    def order(value: Any) -> tuple[int, Any]:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return 0, value
        return (1, value) if isinstance(value, str) else (2, _encoded(value))

    return sorted(values, key=order)

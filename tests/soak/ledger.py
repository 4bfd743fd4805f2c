"""The soak's load: every call is entered into a ledger, and the ledger says what may be read in the end.

A call is *acknowledged*, or *refused* where it certainly changed nothing, or *in doubt* where it may have taken effect,
and may do so yet. Elements of sets come and go, so that the state stays about as large as it is.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Self

import grpc

from tests.client import NodeClient, channel_to
from workers.rpc import deltaic_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Clients", "Fate", "Ledger"]

CALL_TIMEOUT_S = 2.5
COUNTERS = 8
SETS = 4
REGISTERS = 4
LIVE_MAX = 120
"""Elements that one client keeps in the sets; beyond, it removes rather than adds."""
UNDECIDED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
NEVER_SENT = ("nothing was changed", "failed to connect", "Connection refused", "try another node")


class Fate(Enum):
    """What became of a call."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    DOUBTFUL = "in doubt"


@dataclass(slots=True)
class Sum:
    """What a counter may read: `certain`, and whatever was in doubt or not."""

    certain: int = 0
    doubtful_more: int = 0
    doubtful_less: int = 0

    def allows(self, value: int) -> bool:
        return self.certain - self.doubtful_less <= value <= self.certain + self.doubtful_more


@dataclass(slots=True)
class Element:
    """How often the adding of an element was acknowledged or is in doubt, and what was tried to remove it."""

    added: int = 0
    doubtful: int = 0
    removal_tried: bool = False
    removed: bool = False

    @property
    def must_be_there(self) -> bool:
        return self.added > 0 and not self.removal_tried

    @property
    def must_be_gone(self) -> bool:
        """It was added once only, and a node that had it has removed it."""
        return self.removed and self.added == 1 and not self.doubtful

    @property
    def may_be_there(self) -> bool:
        return self.added + self.doubtful > 0


@dataclass
class Ledger:
    """All calls; `calls` counts them by kind and fate."""

    calls: Counter[tuple[str, Fate]] = field(default_factory=Counter)
    sums: dict[str, Sum] = field(default_factory=dict)
    elements: dict[tuple[str, str], Element] = field(default_factory=dict)
    values: dict[str, set[str]] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def violations(self, node: NodeClient) -> list[str]:
        """What `node` reads that it must not, in the end."""
        found = [f"unexpected answer: {words}" for words in self.unexpected]
        for key, sum_ in sorted(self.sums.items()):
            value = node.counter(key)
            if not sum_.allows(value):
                found.append(f"{key} reads {value}, which is not within {sum_}")
        for key in sorted({key for key, _ in self.elements}):
            found += self._of_set(key, set(node.elements(key)))
        for key, written in sorted(self.values.items()):
            found += [
                f"{key} reads {value!r}, which nobody wrote" for value in node.register(key) if value not in written
            ]
        return found

    def _of_set(self, key: str, shown: set[str]) -> list[str]:
        known = {name: element for (of, name), element in self.elements.items() if of == key}
        lost = [name for name, element in known.items() if element.must_be_there and name not in shown]
        back = [name for name, element in known.items() if element.must_be_gone and name in shown]
        strange = [name for name in shown if name not in known or not known[name].may_be_there]
        return [
            *(f"{key}: {name} was acknowledged and is lost: {known[name]}" for name in lost),
            *(f"{key}: {name} was removed and is back: {known[name]}" for name in back),
            *(f"{key}: {name} was never added" for name in strange),
        ]

    @property
    def total(self) -> Counter[Fate]:
        """How many calls met each fate."""
        return sum((Counter({fate: count}) for (_, fate), count in self.calls.items()), Counter())


class Clients:
    """Threads that call random nodes until told to stop; one that got no answer tries another node. Context manager."""

    def __init__(self, addresses: Mapping[str, str], ledger: Ledger, seed: int, threads: int = 4) -> None:
        self._addresses = dict(addresses)
        self._ledger = ledger
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._live, args=(number, seed)) for number in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _live(self, number: int, seed: int) -> None:
        channels = {name: channel_to(address) for name, address in self._addresses.items()}
        try:
            nodes = {name: NodeClient(channel) for name, channel in channels.items()}
            client = _Client(number, nodes, self._ledger, random.Random(f"{seed}-{number}"), self._stop)
            while not self._stop.is_set():
                client.step()
        finally:
            for channel in channels.values():
                channel.close()


class _Client:
    """One client; it has elements of its own, and shares all else with the others."""

    def __init__(
        self, number: int, nodes: Mapping[str, NodeClient], ledger: Ledger, chance: random.Random, stop: threading.Event
    ) -> None:
        self._number = number
        self._nodes = nodes
        self._ledger = ledger
        self._chance = chance
        self._stop = stop
        self._made = 0
        self._live: list[tuple[str, str]] = []

    def step(self) -> None:
        kinds: list[tuple[int, Callable[[], None]]] = [
            (6, self._count),
            (6, self._add if len(self._live) < LIVE_MAX else self._remove),
            (3, self._remove),
            (2, self._set),
            (2, self._flag),
            (1, self._add_where_all_is_deleted),
            (1, self._delete),
        ]
        _, kind = self._chance.choices(kinds, [weight for weight, _ in kinds])[0]
        kind()

    def _count(self) -> None:
        number, amount = self._chance.randrange(COUNTERS), self._chance.randint(1, 9)
        less = number % 2 == 1 and self._chance.random() < 0.4
        key = f"counter-{number}"
        kind = pb.POSITIVE_NEGATIVE_COUNTER if number % 2 else pb.GROW_ONLY_COUNTER
        make = pb.DecrementCounterRequest if less else pb.IncrementCounterRequest
        request = make(counter_id=key, amount=amount, kind=kind)
        call = "DecrementCounter" if less else "IncrementCounter"
        fate, _ = self._call("count", lambda node: getattr(node.objects, call)(request, timeout=CALL_TIMEOUT_S))
        with self._ledger.lock:
            sum_ = self._ledger.sums.setdefault(key, Sum())
            if fate is Fate.ACKNOWLEDGED:
                sum_.certain += -amount if less else amount
            elif fate is Fate.DOUBTFUL and less:
                sum_.doubtful_less += amount
            elif fate is Fate.DOUBTFUL:
                sum_.doubtful_more += amount

    def _add(self) -> None:
        self._made += 1
        key, name = f"set-{self._chance.randrange(SETS)}", f"{self._number}-{self._made}"
        element = self._element(key, name)
        for _ in range(3):
            request = pb.AddToSetRequest(set_id=key, element=name)
            fate, _ = self._call("add", lambda node: node.objects.AddToSet(request, timeout=CALL_TIMEOUT_S))  # noqa: B023
            element.added += fate is Fate.ACKNOWLEDGED
            element.doubtful += fate is Fate.DOUBTFUL
            if fate is Fate.ACKNOWLEDGED or self._stop.is_set():
                break
        self._live.append((key, name))

    def _remove(self) -> None:
        if not self._live:
            return
        key, name = self._live.pop(self._chance.randrange(len(self._live)))
        element = self._element(key, name)
        element.removal_tried = True
        request = pb.RemoveFromSetRequest(set_id=key, element=name)
        for _ in range(6):
            fate, answer = self._call(
                "remove", lambda node: node.objects.RemoveFromSet(request, timeout=CALL_TIMEOUT_S)
            )
            if fate is Fate.ACKNOWLEDGED and answer.removed:
                element.removed = True
                return
        self._live.append((key, name))

    def _element(self, key: str, name: str) -> Element:
        with self._ledger.lock:
            return self._ledger.elements.setdefault((key, name), Element())

    def _set(self) -> None:
        self._made += 1
        number = self._chance.randrange(REGISTERS)
        key, value = f"register-{number}", f"{self._number}-{self._made}"
        kind = pb.LAST_WRITER_WINS_REGISTER if number % 2 else pb.MULTI_VALUE_REGISTER
        with self._ledger.lock:
            self._ledger.values.setdefault(key, set()).add(value)
        request = pb.SetRegisterRequest(register_id=key, value=value, kind=kind)
        self._call("set", lambda node: node.objects.SetRegister(request, timeout=CALL_TIMEOUT_S))

    def _flag(self) -> None:
        request = pb.SetFlagRequest(flag_id="flag", enabled=self._chance.random() < 0.5)
        self._call("flag", lambda node: node.objects.SetFlag(request, timeout=CALL_TIMEOUT_S))

    def _add_where_all_is_deleted(self) -> None:
        key = f"deleted-{self._chance.randrange(2)}"
        request = pb.AddToSetRequest(set_id=key, element=f"{self._chance.randrange(50)}", kind=pb.OBSERVED_REMOVE_SET)
        self._call("add", lambda node: node.objects.AddToSet(request, timeout=CALL_TIMEOUT_S))

    def _delete(self) -> None:
        request = pb.DeleteRequest(key=f"deleted-{self._chance.randrange(2)}")
        self._call("delete", lambda node: node.objects.Delete(request, timeout=CALL_TIMEOUT_S))

    def _call(self, kind: str, call: Callable[[NodeClient], object]) -> tuple[Fate, object]:
        """What became of one call, at a random node."""
        name = self._chance.choice(list(self._nodes))
        answer: object = None
        try:
            answer = call(self._nodes[name])
            fate = Fate.ACKNOWLEDGED
        except grpc.RpcError as error:
            details = error.details() or ""
            fate = Fate.REFUSED if any(words in details for words in NEVER_SENT) else Fate.DOUBTFUL
            if error.code() not in UNDECIDED:
                with self._ledger.lock:
                    self._ledger.unexpected.append(f"{name}: {kind}: {error.code()}: {details}")
            time.sleep(0.02)  # a node that is down refuses at once, and is not to be asked in a tight loop
        with self._ledger.lock:
            self._ledger.calls[kind, fate] += 1
        return fate, answer

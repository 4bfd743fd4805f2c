"""The contract of a replicated type: everything that the rest of the code needs to know of one.

A type says how its objects are made of parts, how it encodes their payloads, and which value their siblings fold into.
A type never joins, never removes and never compares clocks: `crdt_core.lattice.siblings` does that for all types.

To add a type:

1. Write its module in this room: a subclass of `CrdtType`, one instance of it, and its mutators, as functions or
   methods. A mutator takes a `View` and returns writes, as (part, payload). It changes nothing.
2. List the instance in `crdt_core.types.registry`. The codec, the store, replication, `TYPE`, `SCAN`, `COPY`, keyspace
   notifications, `DELTAIC.EXPLAIN` and the command line know the type from then on.
3. Write its model in `tests/crdt_core/types/models`, in a module of the same name: random operations, an independent
   specification, and examples of its JSON. All laws, specifications, codec tests and fuzz targets, and the simulator,
   use it.
4. Write its commands in `crdt_core.commands`, and list them in `crdt_core.commands.table`.

Only `name` and `value` have to be given. Every other member has a default that suits a type whose payloads are `True`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import orjson

from crdt_core.errors import InvariantBroken, Malformed, brief
from crdt_core.lattice.replica_index import covered
from crdt_core.lattice.siblings import TOMBSTONE, WINNING_TOMBSTONE, all_covered, is_tombstone, shows, unfold
from crdt_core.types.text import decode_text, encode_value

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from crdt_core.lattice.clocks import Dot, ReplicaId, Stamp
    from crdt_core.lattice.replica_index import DenseClock, ReplicaIndex
    from crdt_core.lattice.siblings import Payload, Siblings

__all__ = ["SLOT", "CrdtType", "FormerWrite", "LiveWrite", "PartWrite", "Shape", "View"]

SLOT = b""
"""The one part of an object that has only one, such as a register or a flag."""

PartWrite = tuple[bytes, "Payload"]
"""A write as mutators return it: the part, and the payload for it."""


class View(NamedTuple):
    """What a mutator or a query sees of one object: its parts, and the replica ids behind packed dots."""

    parts: Mapping[bytes, Siblings]
    replica_index: ReplicaIndex

    def live(self, part: bytes) -> list[tuple[Dot, Payload]]:
        """Return the live siblings of `part`, in the order of their dots."""
        held = unfold(self.parts.get(part))
        return sorted((self.replica_index.unpack(d), p) for d, p in held.items() if not is_tombstone(p))

    def shows(self, part: bytes) -> bool:
        """Return whether `part` shows: it has a live write, and no tombstone that wins."""
        return shows(self.parts.get(part))

    def shown(self) -> Iterator[bytes]:
        """Iterate over the parts that show."""
        return (part for part, siblings in self.parts.items() if shows(siblings))


class Shape(Enum):
    """How people are shown a value: what it looks like, and how the values of two nodes are compared."""

    VALUE = "one value"
    ELEMENTS = "a list of elements in no order, compared element by element"
    ALTERNATIVES = "a list of concurrent values, each as good as the others"
    SWITCH = "on or off"


class LiveWrite(NamedTuple):
    """One live write, for `CrdtType.explain`.

    `view` is of the object that the write is in. `shown_dot` is the winning write of the object that prevails under the
    key, `None` for a type without one: attributes refer to it. `wall_ms` is the time of day.
    """

    view: View
    part: bytes
    dot: Dot
    payload: Payload
    shown_dot: Dot | None
    wall_ms: int


class FormerWrite(NamedTuple):
    """One write that a former replica id of this node made and no other member has, for `CrdtType.repeat`.

    `view` is of the object as it is now. `before` is the former id's previous live write to the same part, `None` if
    there was none among those that are repeated. `seen` covers what the author of the write had seen, and what is being
    written now. Other members have the commits of `former` up to `former_sent`. `dot` is the commit that repeats the
    write, under the new id.
    """

    view: View
    part: bytes
    payload: Payload
    before: Payload
    seen: DenseClock
    former: ReplicaId
    former_sent: int
    dot: Dot


class CrdtType(ABC):
    """One replicated type. It has no state: there is one instance, and objects refer to it."""

    # Identity

    name: ClassVar[str]
    """The name of the type in everything that is stored or sent. It never changes."""

    encoded_name: ClassVar[bytes]
    """`name` as bytes."""

    event_class: ClassVar[str] = "d"
    """The class of the keyspace notifications about objects of the type, as Redis spells it in its flags.

    `$`, `l`, `s`, `h`, `z` and `t` are those of Redis's types, and `g` is that of what can happen to any key. Default:
    `d`, as for types that modules of Redis bring.
    """

    redis_type: ClassVar[str] = ""
    """What `TYPE` says of a key, and what `SCAN ... TYPE` looks for. Default: `name`."""

    family: ClassVar[str] = ""
    """Which commands work on objects of the type: all types of one family share them. Default: `name`."""

    rank: int
    """The place of the type in the registry. Of two types made under one key, the one with the smaller rank shows."""

    collection: ClassVar[bool] = False
    """Whether objects have many parts. Each part of a collection is stored as a field of a hash of the object's own.
    Deleting a collection is one write. An object that is no collection is stored whole."""

    attribute: ClassVar[bool] = False
    """Whether objects say something about what stands beside them under the same key, as a deadline does. An attribute
    never shows itself."""

    plain: ClassVar[bool] = True
    """Whether plain commands make objects of the type. Such an object keeps its type when a command overwrites it, and
    a copy of it has its type. What is not plain, such as a counter that was made through gRPC, is overwritten with and
    copied as the first plain type of its family, unless a policy says otherwise."""

    grow_only: ClassVar[bool] = False
    """Whether nothing can be taken out of an object, other than by deleting it whole."""

    removes_win: ClassVar[bool] = False
    """Whether a client's removal of a part wins over concurrent writes to it. It is written even if there is nothing to
    remove."""

    shape: ClassVar[Shape] = Shape.VALUE
    """How people are shown a value."""

    def __init_subclass__(cls) -> None:
        name = getattr(cls, "name", "")
        cls.encoded_name = name.encode()
        cls.redis_type = cls.redis_type or name
        cls.family = cls.family or name
        if cls.plain and cls.contents is not CrdtType.contents and cls.rewrite is CrdtType.rewrite:
            raise TypeError(f"{cls.__name__} has contents that a command may overwrite, and no `rewrite`")

    # Values

    @abstractmethod
    def value(self, view: View) -> Any:
        """Return the object's value. For an object that does not show, return the value of an empty one."""

    def value_json(self, view: View) -> Any:
        """Return the value as a JSON value, as `Inspect` and `deltaic get` show it."""
        return encode_value(self.value(view))

    def text(self, parts: Mapping[bytes, Siblings], replica_index: ReplicaIndex) -> bytes | None:  # noqa: ARG002
        """Return the value as one string, for `GET` and its like; `None` for a type that counts as no string.

        The arguments are those of a `View`: every GET calls this, and a view would cost it as much as the rest.
        """
        return None

    def winning_dot(self, view: View) -> Dot | None:  # noqa: ARG002
        """Return the write that shows, for a type of which one write shows, whole. A deadline names this write."""
        return None

    # Writes

    def removal(self, view: View, part: bytes) -> Payload:  # noqa: ARG002
        """Return the payload that removes `part` when an object is deleted that is no collection."""
        return TOMBSTONE

    def remainders(self, view: View) -> list[PartWrite]:  # noqa: ARG002
        """Return the writes to single parts that go along when a collection is deleted: observed resets of shares."""
        return []

    def element(self, part: bytes) -> bytes:
        """Return the name of the member or field that `part` of a collection belongs to."""
        return part

    def owner(self, part: bytes) -> bytes | None:  # noqa: ARG002
        """Return the id of the only replica that writes `part`, encoded; `None` for a part that any replica writes."""
        return None

    def take_out(self, view: View, part: bytes) -> PartWrite | None:
        """Return the write by which a client removes one part, as `SREM` does; `None` if there is nothing to remove."""
        if self.removes_win:
            return part, WINNING_TOMBSTONE
        return (part, self.removal(view, part)) if view.shows(part) else None

    def contents(self, view: View) -> Any:  # noqa: ARG002
        """Return what `COPY` and `RENAME` carry to the target, `None` for a type that cannot be copied.

        All types of a family agree on the form: bytes for strings, a list of members for sets, a dict for hashes.
        """
        return None

    def contents_by_part(self, view: View) -> Generator[None, None, Any]:
        """Return the same as `contents`, in any order, and yield after some parts. By default all is one step."""
        yield
        return self.contents(view)

    def rewrite(self, view: View, contents: Any, now: Stamp) -> Iterable[PartWrite]:  # noqa: ARG002
        """Return the writes that make `contents`, in the form of the family, the value of the object.

        The writes replace all that `view` shows of an object that is no collection. A collection was deleted before.
        Only types that have `contents`, and are plain or have a `text`, are asked.
        """
        raise InvariantBroken(f"{self.name} cannot be overwritten")

    def add_amount(self, view: View, replica: bytes, amount: int, now: Stamp) -> list[PartWrite]:  # noqa: ARG002
        """Return the writes by which replica `replica` adds `amount`, as `INCR` does, to an integer `text`.

        By default the sum is written whole, so concurrent increments do not add.
        """
        before = self.text(view.parts, view.replica_index)
        return list(self.rewrite(view, b"%d" % (int(before or b"0") + amount), now))

    # Codec

    def decode_part(self, value: Any) -> bytes:
        """Return the part in a JSON value. Raises `Malformed` for a part that objects of this type do not have."""
        part = decode_text(value)
        if not self.collection and part != SLOT:
            raise Malformed("part", f"{self.name}: {brief(value)} is not its one slot")
        return part

    def encode_payload(self, payload: Payload) -> Any:
        """Return a payload as a JSON value. The payload is never `TOMBSTONE`, which is `null` for all types."""
        return payload

    def payload_json(self, payload: Payload) -> bytes:
        """Return the JSON of `encode_payload`. Overridden only where that is faster."""
        return orjson.dumps(self.encode_payload(payload))

    def decode_payload(self, value: Any) -> Payload:
        """Return the payload in a JSON value, the inverse of `encode_payload`. Raises `Malformed`.

        Whatever is accepted is encoded to the same bytes again.
        """
        if value is True or (self.removes_win and value is WINNING_TOMBSTONE):
            return value
        fault = "neither true nor false" if self.removes_win else "not true"
        raise Malformed("payload", f"{self.name}: {brief(value)} is {fault}")

    # Telling people

    def explain(self, write: LiveWrite) -> str:
        """Return what becomes of a live write in an object that prevails, for `DELTAIC.EXPLAIN`."""
        siblings = unfold(write.view.parts.get(write.part))
        denials = [dot for dot, payload in siblings.items() if payload is WINNING_TOMBSTONE]
        if denials:
            first = min(write.view.replica_index.unpack(dot) for dot in denials)
            return f"loses to {first}, which is concurrent and removes"
        return "shows" if len(siblings) == 1 else "shows, beside what is concurrent"

    def events(self, part: bytes, before: Siblings, now: Siblings) -> list[bytes]:  # noqa: ARG002
        """Return the keyspace events of a change to one part of a key that is still there. Default: `write`."""
        return [b"write"]

    def had_ended(self, before: Siblings, wall_ms: int) -> bool:  # noqa: ARG002
        """Return whether this part of an attribute made its key expire at or before `wall_ms`."""
        return False

    # Membership

    def repeat(self, write: FormerWrite) -> list[PartWrite]:
        """Return the writes that repeat a write of a former id under the new one; none if it yields to newer writes.

        Its author had not seen what others wrote meanwhile. So an add is an add again. A removal, or a value that would
        replace another, yields to what it has not seen. Where removals win, they are repeated in any case, and an add
        yields to a removal that it has not seen.
        """
        payload, held = write.payload, write.view.parts.get(write.part)
        if payload is WINNING_TOMBSTONE:
            again = True
        elif is_tombstone(payload):
            again = shows(held) and all_covered(held, write.seen)
        elif payload is True:
            denials = (dot for dot, other in unfold(held).items() if other is WINNING_TOMBSTONE)
            again = all(covered(dot, write.seen) for dot in denials)
        else:
            again = all_covered(held, write.seen)
        return [(write.part, payload)] if again else []

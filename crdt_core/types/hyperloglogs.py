"""HyperLogLog: about how many different elements were added, by 16 384 registers.

The hash of an element chooses a register and a rank: the place of the first bit that is set in the rest of the hash. A
register keeps the largest rank. A part is one register, named by its number, and its payload is the rank. Concurrent
writes to a register stand side by side, and the largest rank counts. So replicas that have heard of each other hold the
union of their registers.

Every add writes its register again, also if the register has a larger rank already: then it writes that rank. So an add
is always a new write. It survives a concurrent delete, which removes only what it saw.

    A: DEL h                                                        } concurrent: register 7 has rank 3,
    B: PFADD h x      register 7: rank 3, a write that A has not seen }             and x counts

The empty part has rank 0. It makes the key exist before it has any element, as after PFADD without elements.

Source: Flajolet, Fusy, Gandouet, Meunier 2007, "HyperLogLog"; the estimator is that of Ertl 2017, "New cardinality
estimation algorithms for HyperLogLog sketches", algorithm 6, and the hash is MurmurHash64A, as in Redis. So the counts
are those of Redis, to the last digit.
"""

from __future__ import annotations

from math import floor, inf
from typing import TYPE_CHECKING, Any

from crdt_core.errors import Malformed, brief
from crdt_core.lattice.siblings import is_tombstone, shows, unfold
from crdt_core.types.contract import SLOT, CrdtType
from crdt_core.types.counters import INT64_MAX
from crdt_core.types.text import decode_text

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from crdt_core.lattice.clocks import Stamp
    from crdt_core.lattice.siblings import Payload, Siblings
    from crdt_core.types.contract import FormerWrite, LiveWrite, PartWrite, View

__all__ = ["HYPERLOGLOG", "RANK_MAX", "REGISTERS", "HyperLogLogType", "estimate", "place", "rank_of"]

_INDEX_BITS = 14

REGISTERS = 1 << _INDEX_BITS
"""How many registers there are. The standard error of an estimate is 1.04 / sqrt(REGISTERS): 0.8 %."""

RANK_MAX = 64 - _INDEX_BITS + 1
"""The largest rank: no bit of the rest of the hash is set."""

_MASK64 = (1 << 64) - 1
_SEED = 0xADC83B19
_MULTIPLIER = 0xC6A4A7935BD1E995
_ALPHA = 0.721347520444481703680  # 1 / (2 ln 2)


class HyperLogLogType(CrdtType):
    """A HyperLogLog as Redis has it. A part is the number of a register in decimal, or empty; its payload is a rank."""

    name = "hyperloglog"
    redis_type = "string"
    event_class = "$"
    collection = True

    def value(self, view: View) -> int:
        """Return about how many different elements were added."""
        return estimate(self.contents(view).values())

    def contents(self, view: View) -> dict[bytes, int]:
        """Return the rank of each register that has one, by the part."""
        ranks = ((part, rank_of(siblings)) for part, siblings in view.parts.items())
        return {part: rank for part, rank in ranks if rank}

    def contents_by_part(self, view: View) -> Generator[None, None, dict[bytes, int]]:
        ranks: dict[bytes, int] = {}
        for part, siblings in view.parts.items():
            if rank := rank_of(siblings):
                ranks[part] = rank
            yield
        return ranks

    def rewrite(self, view: View, contents: Mapping[bytes, int], now: Stamp) -> list[PartWrite]:  # noqa: ARG002
        return list(contents.items()) or [(SLOT, 0)]

    def add(self, view: View, elements: Iterable[bytes]) -> list[PartWrite]:
        """Return the writes that add `elements`, one for each register."""
        found: dict[bytes, int] = {}
        for register, rank in map(place, elements):
            part = b"%d" % register
            found[part] = max(rank, found.get(part, 0))
        return self.raised(view, found)

    def raised(self, view: View, ranks: Mapping[bytes, int]) -> list[PartWrite]:
        """Return the writes that raise registers to `ranks`, or repeat the larger rank that a register has."""
        return [(part, max(rank, rank_of(view.parts.get(part)))) for part, rank in ranks.items()]

    def decode_part(self, value: Any) -> bytes:
        part = decode_text(value)
        if part != SLOT and not (part.isdigit() and part == b"%d" % int(part[:9]) and int(part) < REGISTERS):
            raise Malformed("part", f"{self.name}: {brief(value)} is not a register")
        return part

    def decode_payload(self, value: Any) -> Payload:
        if type(value) is not int or not 0 <= value <= RANK_MAX:
            raise Malformed("payload", f"{self.name}: {brief(value)} is not a rank")
        return value

    def explain(self, write: LiveWrite) -> str:
        if not write.part:
            return "the key exists"
        largest = rank_of(write.view.parts.get(write.part))
        return f"counts: rank {write.payload}" if write.payload == largest else f"is below rank {largest}, which counts"

    def events(self, part: bytes, before: Siblings, now: Siblings) -> list[bytes]:  # noqa: ARG002
        return [b"pfadd"] if shows(now) else []

    def repeat(self, write: FormerWrite) -> list[PartWrite]:
        """Return the add again: it hides nothing, so it need not yield. A removal yields, as in every type."""
        if is_tombstone(write.payload):
            return super().repeat(write)
        return self.raised(write.view, {write.part: write.payload})


HYPERLOGLOG = HyperLogLogType()


def rank_of(siblings: Siblings) -> int:
    """Return the rank of a register: the largest that stands there, 0 for none."""
    if type(siblings) is tuple:
        return siblings[1] or 0
    return max((payload for payload in unfold(siblings).values() if payload is not None), default=0)


def _murmur_hash(data: bytes) -> int:
    """Return MurmurHash64A of `data`, with the seed of Redis."""
    whole = len(data) & ~7
    found = (_SEED ^ (len(data) * _MULTIPLIER)) & _MASK64
    for at in range(0, whole, 8):
        word = int.from_bytes(data[at : at + 8], "little") * _MULTIPLIER & _MASK64
        word ^= word >> 47
        found = (found ^ word * _MULTIPLIER & _MASK64) * _MULTIPLIER & _MASK64
    if len(data) > whole:
        found = (found ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _MASK64
    found ^= found >> 47
    found = found * _MULTIPLIER & _MASK64
    return found ^ found >> 47


def place(element: bytes) -> tuple[int, int]:
    """Return the register of `element`, and its rank from 1 to 51.

    >>> place(b"a"), place(b"b")
    ((12711, 2), (15780, 1))
    """
    found = _murmur_hash(element)
    rest = found >> _INDEX_BITS | 1 << (RANK_MAX - 1)
    return found & (REGISTERS - 1), (rest & -rest).bit_length()


def estimate(ranks: Iterable[int]) -> int:
    """Return about how many different elements there are, from the ranks of the registers that have one.

    >>> estimate([]), estimate([1]), estimate([1, 2, 3])
    (0, 1, 3)
    """
    histogram = [0] * (RANK_MAX + 1)
    for rank in ranks:
        histogram[rank] += 1
    histogram[0] = REGISTERS - sum(histogram[1:])
    z = REGISTERS * _tau((REGISTERS - histogram[RANK_MAX]) / REGISTERS)
    for rank in range(RANK_MAX - 1, 0, -1):
        z = (z + histogram[rank]) * 0.5
    z += REGISTERS * _sigma(histogram[0] / REGISTERS)
    return floor(_ALPHA * REGISTERS * REGISTERS / z + 0.5) if z else INT64_MAX


def _tau(x: float) -> float:
    if x in {0.0, 1.0}:
        return 0.0
    y, z, before = 1.0, 1.0 - x, -1.0
    while z != before:
        x **= 0.5
        before = z
        y *= 0.5
        z -= (1.0 - x) ** 2 * y
    return z / 3.0


def _sigma(x: float) -> float:
    if x == 1.0:
        return inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x *= x
        before = z
        z += x * y
        y += y
    return z

"""BITFIELD and BITFIELD_RO: a string as a row of integers of any width.

Like single bits (`crdt_core.commands.bits`), the integers have no life of their own: a command that changes one writes
the whole string, so concurrent increments do not add up.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from crdt_core.commands.arguments import NOT_AN_INTEGER, SYNTAX, parse_integer
from crdt_core.commands.bits import parse_offset, writable
from crdt_core.commands.command import KEY, Command
from crdt_core.commands.replies import CommandError
from crdt_core.commands.slicing import clearing
from crdt_core.commands.strings import WRITTEN_WHOLE, text_at, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session

__all__ = ["COMMANDS"]

_BAD_FIELD = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."


class _Field(NamedTuple):
    """An integer of `bits` bits in a string, as `i8` or `u16` names its type."""

    bits: int
    signed: bool

    @property
    def least(self) -> int:
        return -(1 << self.bits - 1) if self.signed else 0

    @property
    def most(self) -> int:
        return (1 << self.bits - 1) - 1 if self.signed else (1 << self.bits) - 1

    def of(self, pattern: int) -> int:
        """The number whose lowest bits are `pattern`'s."""
        pattern &= (1 << self.bits) - 1
        return pattern - (1 << self.bits) if self.signed and pattern >> self.bits - 1 else pattern

    def read(self, value: bytes | bytearray, offset: int) -> int:
        """The number at `offset`; beyond the end there are zeros."""
        last = offset + self.bits - 1
        covering = bytes(value[offset >> 3 : (last >> 3) + 1]).ljust((last >> 3) - (offset >> 3) + 1, b"\0")
        return self.of(int.from_bytes(covering, "big") >> (7 - (last & 7)))

    def put(self, value: bytearray, offset: int, number: int) -> None:
        """Write the number at `offset`, which is within the value."""
        first, last = offset >> 3, offset + self.bits - 1
        end, shift = (last >> 3) + 1, 7 - (last & 7)
        mask = (1 << self.bits) - 1
        covering = int.from_bytes(value[first:end], "big") & ~(mask << shift) | (number & mask) << shift
        value[first:end] = covering.to_bytes(end - first, "big")

    def fitted(self, number: int, overflow: bytes) -> int | None:
        """`number` as the field can hold it, by the rule for overflows; `None` where it must not be written."""
        if self.least <= number <= self.most:
            return number
        if overflow == b"FAIL":
            return None
        if overflow == b"WRAP":
            return self.of(number)
        return self.most if number > self.most else self.least


class _Step(NamedTuple):
    """One step of BITFIELD. `amount`: the number of a SET or an INCRBY."""

    name: bytes
    field: _Field
    offset: int
    amount: int = 0
    overflow: bytes = b"WRAP"


def _bitfield(session: Session, args: list[bytes]) -> Reply:
    key, steps = args[0], list(_parse_steps(args[1:]))
    writes = [step for step in steps if step.name != b"GET"]
    if not writes:
        return _read_fields(session, key, steps)
    bits = writable(session, key, max(step.offset + step.field.bits for step in writes))
    replies: list[Reply] = [_run_step(bits, step) for step in steps]
    write_text(session, key, bytes(bits), keeps_deadline=True)
    return replies


def _bitfield_ro(session: Session, args: list[bytes]) -> Reply:
    steps = list(_parse_steps(args[1:]))
    if any(step.name != b"GET" for step in steps):
        raise CommandError("ERR BITFIELD_RO only supports the GET subcommand")
    return _read_fields(session, args[0], steps)


def _read_fields(session: Session, key: bytes, steps: list[_Step]) -> Reply:
    value = text_at(session, key) or b""
    return [step.field.read(value, step.offset) for step in steps]


def _run_step(bits: bytearray, step: _Step) -> int | None:
    """Do one step, and return its reply: `None` where the result does not fit and FAIL is the rule."""
    field, before = step.field, step.field.read(bits, step.offset)
    if step.name == b"GET":
        return before
    if step.name == b"SET":
        # As in Redis, an unsigned field sees a negative number as the unsigned one of 64 bits.
        after = field.fitted(step.amount if field.signed else step.amount % (1 << 64), step.overflow)
    else:
        after = field.fitted(before + step.amount, step.overflow)
    if after is None:
        return None
    field.put(bits, step.offset, after)
    return before if step.name == b"SET" else after


def _parse_steps(args: list[bytes]) -> Iterator[_Step]:
    overflow, rest = b"WRAP", iter(args)
    for arg in rest:
        name = arg.upper()
        wanted = {b"GET": 2, b"SET": 3, b"INCRBY": 3, b"OVERFLOW": 1}.get(name, 0)
        words = list(islice(rest, wanted))
        if not wanted or len(words) < wanted:
            raise CommandError(SYNTAX)
        if name == b"OVERFLOW":
            overflow = words[0].upper()
            if overflow not in (b"WRAP", b"SAT", b"FAIL"):
                raise CommandError("ERR Invalid OVERFLOW type specified")
            continue
        field = _parse_field(words[0])
        offset = _parse_place(words[1], field)
        yield _Step(name, field, offset, parse_integer(words[2], NOT_AN_INTEGER) if wanted == 3 else 0, overflow)


def _parse_field(text: bytes) -> _Field:
    digits = text[1:]
    bits = int(digits) if digits.isdigit() and len(digits) <= 2 and digits[:1] != b"0" else 0
    signed = text[:1] == b"i"
    if text[:1] not in (b"i", b"u") or not 1 <= bits <= (64 if signed else 63):
        raise CommandError(_BAD_FIELD)
    return _Field(bits, signed)


def _parse_place(text: bytes, field: _Field) -> int:
    """An offset in bits, or `#n` for the n-th field of this size."""
    return parse_offset(text[1:], field.bits) if text[:1] == b"#" else parse_offset(text)


COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "bitmap",
        "BITFIELD key [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] SET encoding offset value | INCRBY encoding"
        " offset increment ...]",
        -2,
        KEY,
        "write denyoom",
        _bitfield,
        "Reads, sets and increments integers of any width in a string.",
        WRITTEN_WHOLE,
        "O(N) in the length of the string",
        since="0.2.0",
        sliced=clearing(_bitfield),
    ),
    Command(
        "bitmap",
        "BITFIELD_RO key [GET encoding offset [GET encoding offset ...]]",
        -2,
        KEY,
        "readonly fast",
        _bitfield_ro,
        "Reads integers of any width in a string.",
        "",
        "O(1)",
        since="0.2.0",
    ),
)

"""SETBIT, BITCOUNT, BITFIELD and their like: a string as an array of bits.

The first bit is the highest of the first byte. Bits have no life of their own: a command that sets one writes the whole
string, and of concurrent writes the later hybrid time wins. So if two nodes set a bit each, one of the two survives.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from crdt_core.commands.arguments import NOT_AN_INTEGER, SYNTAX, parse_integer, parse_within
from crdt_core.commands.command import KEY, Command
from crdt_core.commands.replies import CommandError
from crdt_core.commands.strings import taken, text_at, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session

__all__ = ["COMMANDS"]

_BAD_OFFSET = "ERR bit offset is not an integer or out of range"
_BAD_BIT = "ERR bit is not an integer or out of range"
_BAD_FIELD = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
_BITS_MAX = 512 << 23
"""The bits of the longest string that Redis allows, 512 MB."""


# Single bits


def _setbit(session: Session, args: list[bytes]) -> Reply:
    key, offset = args[0], _parse_offset(args[1])
    bit = parse_within(args[2], 0, 1, _BAD_BIT)
    bits = _writable(session, key, offset + 1)
    before = _bit_at(bits, offset)
    mask = 0x80 >> (offset & 7)
    bits[offset >> 3] = bits[offset >> 3] | mask if bit else bits[offset >> 3] & ~mask
    write_text(session, key, bytes(bits), keeps_deadline=True)
    return before


def _getbit(session: Session, args: list[bytes]) -> Reply:
    offset = _parse_offset(args[1])
    return _bit_at(text_at(session, args[0]) or b"", offset)


def _writable(session: Session, key: bytes, bits: int) -> bytearray:
    """The string under `key` with at least so many bits, zeros added at the end."""
    value = taken(session, key) or b""
    size = max(len(value), (bits + 7) >> 3)
    session.must_fit(size)
    return bytearray(value.ljust(size, b"\0"))


def _bit_at(value: bytes | bytearray, offset: int) -> int:
    """The bit at `offset`; 0 beyond the end."""
    byte = offset >> 3
    return value[byte] >> (7 - (offset & 7)) & 1 if byte < len(value) else 0


def _parse_offset(text: bytes, unit: int = 1) -> int:
    """A place in a string, counted in units of `unit` bits; raises `CommandError`."""
    offset = parse_integer(text, _BAD_OFFSET) * unit
    if not 0 <= offset < _BITS_MAX:
        raise CommandError(_BAD_OFFSET)
    return offset


# Ranges of bits


class _Range(NamedTuple):
    """The bits from `first` to `last`; none where `first` is larger. `has_end`: the request names the end."""

    first: int
    last: int
    has_end: bool


def _bitcount(session: Session, args: list[bytes]) -> Reply:
    asked = _parse_range(args[1:])
    value = text_at(session, args[0]) or b""
    if asked is not None and asked[1] is not None and asked[1] < asked[0] < 0:
        return 0  # BITPOS, otherwise alike, takes both for the beginning where they are before it
    first, last, _ = _resolve(asked, len(value))
    return _bits(value, first, last).bit_count() if first <= last else 0


def _bitpos(session: Session, args: list[bytes]) -> Reply:
    bit = parse_integer(args[1])
    if bit not in (0, 1):
        raise CommandError("ERR The bit argument must be 1 or 0.")
    asked = _parse_range(args[2:])
    value = text_at(session, args[0])
    if value is None:
        return -1 if bit else 0
    first, last, has_end = _resolve(asked, len(value))
    if first > last:
        return -1
    width = last - first + 1
    wanted = _bits(value, first, last)
    if not bit:
        wanted ^= (1 << width) - 1
    if wanted:
        return first + width - wanted.bit_length()
    return -1 if bit or has_end else last + 1  # behind an open end there are only zeros


def _parse_range(args: list[bytes]) -> tuple[int, int | None, int] | None:
    """(start, end, bits of their unit) of `[start [end [BYTE | BIT]]]`; raises `CommandError`."""
    if not args:
        return None
    if len(args) > 3:
        raise CommandError(SYNTAX)
    start = parse_integer(args[0])
    unit = 8
    if len(args) == 3:
        units = {b"BYTE": 8, b"BIT": 1}
        if args[2].upper() not in units:
            raise CommandError(SYNTAX)
        unit = units[args[2].upper()]
    return start, parse_integer(args[1]) if len(args) > 1 else None, unit


def _resolve(asked: tuple[int, int | None, int] | None, length: int) -> _Range:
    """The bits that are asked for in a value of `length` bytes; negative numbers count from its end."""
    if asked is None:
        return _Range(0, length * 8 - 1, has_end=False)
    start, end, unit = asked
    total = length * 8 // unit
    stop = total - 1 if end is None else end
    start = max(0, start + total if start < 0 else start)
    stop = min(total - 1, max(0, stop + total if stop < 0 else stop))
    return _Range(start * unit, (stop + 1) * unit - 1, has_end=end is not None)


def _bits(value: bytes, first: int, last: int) -> int:
    """The bits from `first` to `last` as a number."""
    covering = int.from_bytes(value[first >> 3 : (last >> 3) + 1], "big")
    return covering >> (7 - (last & 7)) & (1 << (last - first + 1)) - 1


# Whole strings


def _bitop(session: Session, args: list[bytes]) -> Reply:
    operation, target, sources = args[0].upper(), args[1], args[2:]
    if operation not in (b"AND", b"OR", b"XOR", b"NOT"):
        raise CommandError(SYNTAX)
    if operation == b"NOT" and len(sources) != 1:
        raise CommandError("ERR BITOP NOT must be called with a single source key.")
    values = [text_at(session, key) or b"" for key in sources]
    size = max(map(len, values))
    session.must_fit(size)
    if not size:
        if session.take(target) is not None:
            session.replica.delete(target)
        return 0
    result, *others = [int.from_bytes(value.ljust(size, b"\0"), "big") for value in values]
    for other in others:
        if operation == b"AND":
            result &= other
        elif operation == b"OR":
            result |= other
        else:
            result ^= other
    if operation == b"NOT":
        result ^= (1 << size * 8) - 1
    session.take(target)
    write_text(session, target, result.to_bytes(size, "big"))
    return size


# Integers in a string


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
        """Writes the number at `offset`, which is within the value."""
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
    bits = _writable(session, key, max(step.offset + step.field.bits for step in writes))
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
    """Does one step; its reply, `None` where the result does not fit and FAIL is the rule."""
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
    return _parse_offset(text[1:], field.bits) if text[:1] == b"#" else _parse_offset(text)


_WHOLE = "The whole string is written, so they do not merge: the later write is kept."

COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "bitmap",
        "SETBIT key offset value",
        4,
        KEY,
        "write denyoom",
        _setbit,
        "Sets one bit of a string. Returns the bit before.",
        _WHOLE,
        "O(N) in the length of the string",
        since="0.2.0",
        categories="bitmap",
    ),
    Command(
        "bitmap",
        "GETBIT key offset",
        3,
        KEY,
        "readonly fast",
        _getbit,
        "Returns one bit of a string.",
        "",
        "O(1)",
        since="0.2.0",
        categories="bitmap",
    ),
    Command(
        "bitmap",
        "BITCOUNT key [start [end [BYTE | BIT]]]",
        -2,
        KEY,
        "readonly",
        _bitcount,
        "Counts the bits that are set in a string.",
        "",
        "O(N) in the length of the string",
        since="0.2.0",
        categories="bitmap",
    ),
    Command(
        "bitmap",
        "BITPOS key bit [start [end [BYTE | BIT]]]",
        -3,
        KEY,
        "readonly",
        _bitpos,
        "Returns the place of the first bit that is set, or of the first that is not.",
        "",
        "O(N) in the length of the string",
        since="0.2.0",
        categories="bitmap",
    ),
    Command(
        "bitmap",
        "BITOP operation destkey key [key ...]",
        -4,
        (2, -1, 1),
        "write denyoom",
        _bitop,
        "Stores the AND, OR, XOR or NOT of strings. Returns the length of the result.",
        _WHOLE,
        "O(N) in the length of the strings",
        since="0.2.0",
        categories="bitmap",
    ),
    Command(
        "bitmap",
        "BITFIELD key [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] SET encoding offset value | INCRBY encoding"
        " offset increment ...]",
        -2,
        KEY,
        "write denyoom",
        _bitfield,
        "Reads, sets and increments integers of any width in a string.",
        _WHOLE,
        "O(N) in the length of the string",
        since="0.2.0",
        categories="bitmap",
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
        categories="bitmap",
    ),
)

"""SETBIT, BITCOUNT, BITOP and their like: a string as an array of bits.

The first bit is the highest of the first byte. Bits have no life of their own: a command that sets one writes the whole
string, and of concurrent writes the later hybrid time wins. So if two nodes set a bit each, one of the two survives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crdt_core.commands.arguments import SYNTAX, parse_integer, parse_within
from crdt_core.commands.command import KEY, Command
from crdt_core.commands.replies import CommandError
from crdt_core.commands.slicing import clearing
from crdt_core.commands.strings import WRITTEN_WHOLE, taken, text_at, write_text

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session

__all__ = ["COMMANDS", "parse_offset", "writable"]

_BAD_OFFSET = "ERR bit offset is not an integer or out of range"
_BAD_BIT = "ERR bit is not an integer or out of range"
_BITS_MAX = 512 << 23
"""The bits of the longest string that Redis allows, 512 MB."""


# Single bits


def _setbit(session: Session, args: list[bytes]) -> Reply:
    key, offset = args[0], parse_offset(args[1])
    bit = parse_within(args[2], 0, 1, _BAD_BIT)
    bits = writable(session, key, offset + 1)
    before = _bit_at(bits, offset)
    mask = 0x80 >> (offset & 7)
    bits[offset >> 3] = bits[offset >> 3] | mask if bit else bits[offset >> 3] & ~mask
    write_text(session, key, bytes(bits), keeps_deadline=True)
    return before


def _getbit(session: Session, args: list[bytes]) -> Reply:
    offset = parse_offset(args[1])
    return _bit_at(text_at(session, args[0]) or b"", offset)


def writable(session: Session, key: bytes, bits: int) -> bytearray:
    """The string under `key` with at least so many bits, zeros added at the end."""
    value = taken(session, key) or b""
    size = max(len(value), (bits + 7) >> 3)
    session.must_fit(size)
    return bytearray(value.ljust(size, b"\0"))


def _bit_at(value: bytes | bytearray, offset: int) -> int:
    """The bit at `offset`; 0 beyond the end."""
    byte = offset >> 3
    return value[byte] >> (7 - (offset & 7)) & 1 if byte < len(value) else 0


def parse_offset(text: bytes, unit: int = 1) -> int:
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


COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "bitmap",
        "SETBIT key offset value",
        4,
        KEY,
        "write denyoom",
        _setbit,
        "Sets one bit of a string. Returns the bit before.",
        WRITTEN_WHOLE,
        "O(N) in the length of the string",
        since="0.2.0",
        sliced=clearing(_setbit),
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
    ),
    Command(
        "bitmap",
        "BITOP operation destkey key [key ...]",
        -4,
        (2, -1, 1),
        "write denyoom",
        _bitop,
        "Stores the AND, OR, XOR or NOT of strings. Returns the length of the result.",
        WRITTEN_WHOLE,
        "O(N) in the length of the strings",
        since="0.2.0",
        sliced=clearing(_bitop, slice(1, 2)),
    ),
)

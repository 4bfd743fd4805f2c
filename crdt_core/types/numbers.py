"""Numbers that are added exactly and shown as Redis shows them.

A number is an integer, or a `Fraction` whose denominator is a power of two: a binary floating-point number, exactly. So
a sum does not depend on the order of its parts. It is rounded once, when it is shown: to the 64 bits of mantissa that a
C `long double` has on x86-64, and then to 17 decimals.

Redis shows a number after every addition, and reads it again for the next one. So its last digits may differ from those
of an exact sum. `add_shown` makes up for that, so a lone client is told what Redis would tell it, digit for digit:

>>> add_shown(3000, parse_number(b"0.1"))[0]
b'3000.10000000000000009'

Integers up to 2^80 are never rounded: concurrent increments may take a count beyond the 64 bits of Redis.
"""

from __future__ import annotations

from fractions import Fraction

__all__ = ["EXACT_MAX", "LARGEST", "UNIT_BITS", "Number", "add_shown", "parse_number", "rounded", "write_number"]

Number = int | Fraction

EXACT_MAX = 2**80
"""An integer of this size or more is rounded when it is shown."""

LARGEST: int = 2**16384
"""What a `long double` can no longer hold."""

UNIT_BITS = 120
"""What is added is a multiple of 2^-120. This holds every number of at least 1e-17, which is the least that shows."""

_UNIT: int = 2**UNIT_BITS
_MANTISSA_BITS = 64
_SMALLEST = Fraction(1, 2**16445)
_LENGTH_MAX = 5 * 1024
_EXPONENT_MAX = 12_000
_DECIMALS = 17
_CHUNK = 4000  # digits: Python converts at most 4300 at once
_LAST_DIGITS = Fraction(1, 2**60)
_LAST_DECIMALS = Fraction(2, 10**_DECIMALS)


def parse_number(text: bytes) -> Fraction | None:
    """Return the number in `text`, decimal or hexadecimal, rounded to 64 bits of mantissa.

    Return `None` for any other text, for an infinite one, and for a number that a `long double` cannot hold.
    """
    if len(text) >= _LENGTH_MAX:
        return None
    unsigned = (text[1:] if text[:1] in (b"+", b"-") else text).lower()
    if unsigned[:2] == b"0x":
        return _parse_hexadecimal(text)
    mantissa, mark, exponent = unsigned.partition(b"e")
    whole, _, fraction = mantissa.partition(b".")
    power = exponent[1:] if exponent[:1] in (b"+", b"-") else exponent
    digits = whole + fraction
    if not digits.isdigit() or (mark and not power.isdigit()) or len(power.lstrip(b"0")) > 5:
        return None
    shift = (int(exponent) if mark else 0) - len(fraction)
    if abs(shift) > _EXPONENT_MAX:
        return None
    found = rounded(_integer(digits) * Fraction(10) ** shift)
    if found and not _SMALLEST <= found < LARGEST:
        return None
    return -found if text[:1] == b"-" else found


def write_number(number: Number) -> bytes:
    """Return `number` as Redis shows it: with up to 17 decimals, and no trailing zeros."""
    if number.denominator == 1 and -EXACT_MAX < number < EXACT_MAX:
        return b"%d" % number.numerator
    scaled = round(abs(rounded(Fraction(number))) * 10**_DECIMALS)
    whole, decimals = divmod(scaled, 10**_DECIMALS)
    text = f"{_digits(whole)}.{decimals:0{_DECIMALS}d}".rstrip("0").rstrip(".").encode()
    return b"-" + text if number < 0 and scaled else text


def rounded(number: Fraction) -> Fraction:
    """Return the number nearest to `number` that a mantissa of 64 bits holds; of two equally near, the even one."""
    if not number:
        return number
    size = abs(number)
    shift = _MANTISSA_BITS - (size.numerator.bit_length() - size.denominator.bit_length())
    if size * Fraction(2) ** shift >= 2**_MANTISSA_BITS:
        shift -= 1
    return round(number * Fraction(2) ** shift) / Fraction(2) ** shift


def add_shown(before: Number, amount: Fraction) -> tuple[bytes, Number]:
    """Return what shows once `amount` is added to `before`, and by how much the exact sum grows.

    That is `amount`, unless Redis would show other last digits: then it is what leads to these. So additions are lost
    neither in integers nor in digits that do not show.
    """
    growth = _in_units(amount)
    after = before + growth
    text = write_number(after)
    if after.denominator == 1:
        return text, growth
    seen = parse_number(write_number(before))
    alone = write_number(rounded((before if seen is None else seen) + amount))
    if alone != text:
        wanted = parse_number(alone)
        if wanted is not None and abs(wanted - after) <= abs(Fraction(after)) * _LAST_DIGITS + _LAST_DECIMALS:
            return alone, _in_units(wanted - before)
    return text, growth


def _in_units(number: Number) -> Number:
    """Return the multiple of 2^-120 that is nearest to `number`; an integer as such."""
    found = Fraction(round(number * _UNIT), _UNIT)
    return found.numerator if found.denominator == 1 else found


def _parse_hexadecimal(text: bytes) -> Fraction | None:
    if text.strip() == text:
        try:
            return Fraction(float.fromhex(text.decode("ascii")))
        except (ValueError, OverflowError):
            pass
    return None


def _integer(digits: bytes) -> int:
    head, tail = digits[:_CHUNK], digits[_CHUNK:]
    shifted: int = int(head) * 10 ** len(tail)
    return shifted + (int(tail) if tail else 0)


def _digits(whole: int) -> str:
    head, tail = divmod(whole, 10**_CHUNK)
    return f"{head}{tail:0{_CHUNK}d}" if head else str(tail)

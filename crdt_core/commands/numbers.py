"""Fractional numbers as Redis computes them: a C `long double` with a mantissa of 64 bits.

A number is a `Fraction`, which Python computes exactly, and each result is rounded to 64 bits. So every machine gives
the same results, and they are those of Redis on x86-64.

>>> write_float(add_floats(parse_float(b"0.1"), parse_float(b"0.2")))
b'0.3'
>>> write_float(add_floats(parse_float(b"3.0e3"), parse_float(b"-1e-1")))
b'2999.89999999999999991'
"""

from __future__ import annotations

from fractions import Fraction

from crdt_core.commands.replies import CommandError

__all__ = ["add_floats", "parse_float", "write_float"]

_NOT_A_FLOAT = "ERR value is not a valid float"
_INFINITE = "ERR increment would produce NaN or Infinity"

_MANTISSA_BITS = 64
_LARGEST = Fraction(2) ** 16384
_SMALLEST = Fraction(1, 2**16445)
_LENGTH_MAX = 5 * 1024
_EXPONENT_MAX = 12_000
_DECIMALS = 17
_INFINITIES = frozenset((b"inf", b"infinity"))


def parse_float(text: bytes, refusal: str = _NOT_A_FLOAT) -> Fraction | None:
    """Return the number in `text`, decimal or hexadecimal, or `None` if it is infinite.

    Raises `CommandError`, with the text `refusal`, for anything else and for numbers that a `long double` cannot hold.
    """
    unsigned = text[1:] if text[:1] in (b"+", b"-") else text
    if unsigned.lower() in _INFINITIES:
        return None
    if unsigned[:2].lower() == b"0x":
        return _parse_hexadecimal(text, refusal)
    mantissa, _, exponent = unsigned.lower().partition(b"e")
    whole, _, fraction = mantissa.partition(b".")
    power = exponent[1:] if exponent[:1] in (b"+", b"-") else exponent
    digits = whole + fraction
    if (
        len(text) >= _LENGTH_MAX
        or not digits.isdigit()
        or (b"e" in unsigned.lower() and not power.isdigit())
        or (power and len(power.lstrip(b"0")) > 5)
    ):
        raise CommandError(refusal)
    shift = int(exponent or b"0") - len(fraction)
    if abs(shift) > _EXPONENT_MAX:
        raise CommandError(refusal)
    found = _rounded(int(digits) * Fraction(10) ** shift)
    if found and not _SMALLEST <= found < _LARGEST:
        raise CommandError(refusal)
    return -found if text[:1] == b"-" else found


def add_floats(one: Fraction | None, other: Fraction | None) -> Fraction:
    """Return the sum. Raises `CommandError` if it is infinite; `None` stands for an infinite operand."""
    if one is None or other is None:
        raise CommandError(_INFINITE)
    found = _rounded(one + other)
    if abs(found) >= _LARGEST:
        raise CommandError(_INFINITE)
    return found


def write_float(number: Fraction) -> bytes:
    """Return `number` as Redis prints it: with up to 17 decimals, and no trailing zeros."""
    scaled = round(abs(number) * 10**_DECIMALS)
    whole, decimals = divmod(scaled, 10**_DECIMALS)
    text = f"{whole}.{decimals:0{_DECIMALS}d}".rstrip("0").rstrip(".")
    return b"-" + text.encode() if number < 0 and scaled else text.encode()


def _parse_hexadecimal(text: bytes, refusal: str) -> Fraction:
    if text.strip() == text and len(text) < _LENGTH_MAX:
        try:
            return Fraction(float.fromhex(text.decode("ascii")))
        except (ValueError, OverflowError):
            pass
    raise CommandError(refusal)


def _rounded(number: Fraction) -> Fraction:
    """Return the number nearest to `number` that a mantissa of 64 bits holds; of two equally near, the even one."""
    if not number:
        return number
    size = abs(number)
    shift = _MANTISSA_BITS - (size.numerator.bit_length() - size.denominator.bit_length())
    if size * Fraction(2) ** shift >= 2**_MANTISSA_BITS:
        shift -= 1
    return round(number * Fraction(2) ** shift) / Fraction(2) ** shift

"""The fractional numbers in arguments and values of commands, and Redis's errors for those that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.replies import CommandError
from crdt_core.types.numbers import LARGEST, Number, add_shown, parse_number, rounded

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["add_floats", "parse_float"]

_NOT_A_FLOAT = "ERR value is not a valid float"
_INFINITE = "ERR increment would produce NaN or Infinity"
_INFINITIES = frozenset((b"inf", b"infinity"))


def parse_float(text: bytes, refusal: str = _NOT_A_FLOAT) -> Fraction | None:
    """Return the number in `text`, decimal or hexadecimal, or `None` if it is infinite.

    Raises `CommandError`, with the text `refusal`, for anything else and for numbers that a `long double` cannot hold.
    """
    unsigned = text[1:] if text[:1] in (b"+", b"-") else text
    if unsigned.lower() in _INFINITIES:
        return None
    found = parse_number(text)
    if found is None:
        raise CommandError(refusal)
    return found


def add_floats(before: Number | None, amount: Fraction | None) -> tuple[bytes, Number]:
    """Return what shows once `amount` is added, and by how much the exact sum grows: see `add_shown`.

    Raises `CommandError` if the sum is infinite; `None` stands for an infinite operand.
    """
    if before is None or amount is None or abs(rounded(amount + before)) >= LARGEST:
        raise CommandError(_INFINITE)
    return add_shown(before, amount)

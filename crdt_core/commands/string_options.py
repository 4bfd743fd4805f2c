"""The options of SET and GETEX: when a string is written, how long it lives, and whether the old one is returned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.arguments import SYNTAX, parse_deadline
from crdt_core.commands.replies import CommandError

if TYPE_CHECKING:
    from crdt_core.commands.session import Session

__all__ = ["StringOptions"]

_UNITS_MS = {b"EX": 1000, b"PX": 1, b"EXAT": 1000, b"PXAT": 1}
_LIFETIMES = {*_UNITS_MS, b"KEEPTTL", b"PERSIST"}


class StringOptions:
    """The options in `args`, each of which must be one of `known`; raises `CommandError`.

    `command` is the name in errors. `deadline_ms` is in wall time; `None` where no option sets a time to live.
    """

    __slots__ = ("absent", "deadline_ms", "equal", "gets", "keeps", "persists", "present")

    def __init__(self, session: Session, args: list[bytes], command: str, known: list[bytes]) -> None:
        given: dict[bytes, bytes] = {}
        rest = iter(args)
        for arg in rest:
            name = arg.upper()
            if name not in known:
                raise CommandError(SYNTAX)
            value = next(rest, None) if name in _UNITS_MS or name == b"IFEQ" else b""
            if value is None or (name == b"IFEQ" and name in given):
                raise CommandError(SYNTAX)
            given[name] = value
        if len(given.keys() & {b"NX", b"XX", b"IFEQ"}) > 1 or len(given.keys() & _LIFETIMES) > 1:
            raise CommandError(SYNTAX)
        self.absent, self.present, self.gets = b"NX" in given, b"XX" in given, b"GET" in given
        self.keeps, self.persists = b"KEEPTTL" in given, b"PERSIST" in given
        self.equal = given.get(b"IFEQ")
        self.deadline_ms: int | None = None
        for name in given.keys() & _UNITS_MS.keys():
            base_ms = 0 if name.endswith(b"AT") else session.wall_ms
            self.deadline_ms = parse_deadline(given[name], _UNITS_MS[name], base_ms, command)

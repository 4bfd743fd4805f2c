"""The types that a family of commands works on, by their names: what `KIND gcounter` means, and who is refused.

A key holds one type. Redis's own commands take what they find; a policy decides what they make. The commands that use
this module take a type by its name instead, and say its name in their replies: they are what other faces speak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.arguments import SYNTAX
from crdt_core.commands.replies import CommandError
from crdt_core.errors import InvalidArgument, WrongType, brief

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.types import CrdtType
    from crdt_core.types.object import Object

__all__ = ["Kinds", "key_text", "parse_options"]


class Kinds:
    """The types of one family, any of which a caller may ask for."""

    __slots__ = ("_all", "_by_name", "_names")

    def __init__(self, *types: CrdtType) -> None:
        self._all = types
        self._names = " or ".join(type_.name for type_ in types)
        self._by_name: Mapping[bytes, CrdtType] = {type_.encoded_name: type_ for type_ in types}

    def parse(self, options: Mapping[bytes, bytes]) -> CrdtType | None:
        """Return the type that the option `KIND` names, `None` without it. Raises `InvalidArgument` for a bad name."""
        name = options.get(b"KIND")
        if name is None:
            return None
        found = self._by_name.get(name.lower())
        if found is None:
            names = ", ".join(type_.decode() for type_ in self._by_name)
            raise InvalidArgument("kind", f"{brief(name.decode('utf-8', 'replace'))} is not one of {names}")
        return found

    def check(self, found: Object | None) -> Object | None:
        """Return `found` itself. Raises `WrongType` where it is an object of another family."""
        if found is not None and found.type not in self._all:
            raise WrongType(key_text(found.key), found.type.name, self._names)
        return found

    def resolve(self, found: Object | None, wanted: CrdtType | None, otherwise: CrdtType) -> CrdtType:
        """Return the type to write: that of `found`, else the `wanted` one, else `otherwise`.

        Raises `WrongType` where the key holds another family, or another type than the wanted one.
        """
        if self.check(found) is None:
            return wanted or otherwise
        assert found is not None
        if wanted is not None and found.type is not wanted:
            raise WrongType(key_text(found.key), found.type.name, wanted.name)
        return found.type


def parse_options(args: list[bytes], *known: bytes) -> Mapping[bytes, bytes]:
    """Return the options in `args` (`NAME value` each) by name, in upper case. Raises `CommandError`.

    >>> parse_options([b"kind", b"gset"], b"KIND")
    {b'KIND': b'gset'}
    """
    if not args:
        return _NONE
    names = [name.upper() for name in args[::2]]
    if len(args) % 2 or len(set(names)) < len(names) or not set(names) <= set(known):
        raise CommandError(SYNTAX)
    return dict(zip(names, args[1::2], strict=True))


_NONE: Mapping[bytes, bytes] = {}


def key_text(key: bytes) -> str:
    """Return `key` as text for an error's sentence."""
    return key.decode("utf-8", "backslashreplace")

"""Policies: which type a plain command gives to a new key, by the prefix of the key.

A policy decides about new keys only. A key that exists keeps its type, whatever a policy says of it now, or said at the
node that made it. If nodes that disagree make the same key concurrently, the order of types decides which one shows.

    >>> from crdt_core.types import MVREGISTER, ORSET, RWSET
    >>> policies = Policies({b"ban:": RWSET, b"ban:old:": ORSET}, {b"": MVREGISTER})
    >>> policies.set_type(b"ban:1").name, policies.set_type(b"ban:old:1").name, policies.set_type(b"cart:1")
    ('rwset', 'orset', None)
    >>> policies.string_type(b"any").name
    'mvregister'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.types import CrdtType

__all__ = ["CommandOptions", "Policies"]


class Policies:
    """The types of new sets and of new strings, by prefix. Of several prefixes of a key, the longest decides."""

    __slots__ = ("_set_lengths", "_sets", "_string_lengths", "_strings")

    def __init__(self, sets: Mapping[bytes, CrdtType], strings: Mapping[bytes, CrdtType]) -> None:
        self._sets, self._set_lengths = sets, _longest_first(sets)
        self._strings, self._string_lengths = strings, _longest_first(strings)

    def set_type(self, key: bytes) -> CrdtType | None:
        """Returns the type of a new set under `key`; `None` if there is no policy for it."""
        return _find(self._sets, self._set_lengths, key)

    def string_type(self, key: bytes) -> CrdtType | None:
        """Returns the type of a new string under `key`; `None` if there is no policy for it."""
        return _find(self._strings, self._string_lengths, key)


def _longest_first(by_prefix: Mapping[bytes, CrdtType]) -> list[int]:
    return sorted({len(prefix) for prefix in by_prefix}, reverse=True)


def _find(by_prefix: Mapping[bytes, CrdtType], lengths: list[int], key: bytes) -> CrdtType | None:
    for length in lengths:
        found = by_prefix.get(key[:length])
        if found is not None:
            return found
    return None


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """The settings of commands.

    `policies`: `None` where there are none. `value_bytes_max`: the largest value. `reply_bytes_max`: the largest reply;
    a command whose reply would be larger is refused.
    """

    policies: Policies | None = None
    value_bytes_max: int = 512 << 20
    reply_bytes_max: int = 256 << 20

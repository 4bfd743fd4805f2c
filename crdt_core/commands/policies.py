"""Policies: which type a plain command makes of a new key, by the beginning of the key.

A policy only decides about new keys. An object that is there keeps its type, whatever a policy says now, or said at the
node that made it. Where nodes that disagree make the same key concurrently, the order of types decides what shows.

    >>> from crdt_core.types import MVREGISTER, ORSET, RWSET
    >>> policies = Policies({b"ban:": RWSET, b"ban:old:": ORSET}, {b"": MVREGISTER})
    >>> [found and found.name for found in (policies.find("set", key) for key in (b"ban:1", b"ban:old:1", b"cart:1"))]
    ['rwset', 'orset', None]
    >>> policies.find("string", b"any").name, policies.find("hash", b"any")
    ('mvregister', None)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.types import CrdtType

__all__ = ["CommandOptions", "Policies"]


_NO_POLICY: tuple[list[int], Mapping[bytes, CrdtType]] = ([], {})


class Policies:
    """The types of new sets, and of new strings, by the prefix of the key. The longest prefix counts, for each."""

    __slots__ = ("_families",)

    def __init__(self, sets: Mapping[bytes, CrdtType], strings: Mapping[bytes, CrdtType]) -> None:
        by_family = {"set": sets, "string": strings}
        self._families = {family: (_longest_first(types), types) for family, types in by_family.items()}

    def find(self, family: str, key: bytes) -> CrdtType | None:
        """Return the type that plain commands of `family` make of `key`; `None` if no prefix of the key says."""
        lengths, by_prefix = self._families.get(family, _NO_POLICY)
        for length in lengths:
            found = by_prefix.get(key[:length])
            if found is not None:
                return found
        return None


def _longest_first(by_prefix: Mapping[bytes, CrdtType]) -> list[int]:
    return sorted({len(prefix) for prefix in by_prefix}, reverse=True)


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """The settings of commands.

    `policies`: `None` where there are none. `value_bytes_max`: the largest value. `reply_bytes_max`: the largest reply;
    a command whose reply would be larger is refused.
    """

    policies: Policies | None = None
    value_bytes_max: int = 512 << 20
    reply_bytes_max: int = 256 << 20

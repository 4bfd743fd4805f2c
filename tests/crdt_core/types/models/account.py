"""What has happened, by the tests' own account: who did what, having seen what, and so what must show."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tests.crdt_core.types.models import MODELS
from tests.crdt_core.types.models.model import NOTHING, Act

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.lattice.clocks import Dot
    from tests.crdt_core.types.models.model import Operation

__all__ = ["Account"]


class Account:
    """All acts. Every act has a bit of its own, so a set of acts is an integer."""

    def __init__(self) -> None:
        self._acts: defaultdict[bytes, dict[str, list[Act]]] = defaultdict(dict)
        self._masks: defaultdict[bytes, int] = defaultdict(int)
        self._shown: dict[tuple[bytes, int], dict[str, Any]] = {}
        self._count = 0

    @property
    def keys(self) -> list[bytes]:
        """Every key that something was done to."""
        return list(self._masks)

    def record(self, dot: Dot, past: int, operations: Iterable[Operation]) -> int:
        """Take down that commit `dot` did `operations`, having seen the acts `past`. Return the bits of its acts."""
        made = 0
        for operation in operations:
            bit = 1 << self._count
            self._count += 1
            by_type = self._acts[operation.key]
            if operation.type:
                by_type.setdefault(operation.type, [])
            for name in [operation.type] if operation.type else by_type:
                seen = [act for act in by_type[name] if act.bit & (past | made)]
                effect = MODELS[name].effect(operation, seen)
                by_type[name].append(Act(bit, past | made, dot, operation, effect))
            self._masks[operation.key] |= bit
            made |= bit
        return made

    def shown(self, key: bytes, visible: int) -> dict[str, Any]:
        """Return what must show under `key` once `visible` is seen, by type; type conflicts and attributes too."""
        mask = visible & self._masks[key] if key in self._masks else 0
        found = self._shown.get((key, mask))
        if found is None:
            found = self._shown[key, mask] = self._specified(key, mask)
        return found

    def _specified(self, key: bytes, mask: int) -> dict[str, Any]:
        values = {
            name: MODELS[name].value([act for act in acts if act.bit & mask])
            for name, acts in self._acts.get(key, {}).items()
        }
        return {name: value for name, value in values.items() if value is not NOTHING}

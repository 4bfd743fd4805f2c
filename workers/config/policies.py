"""The policies of the fleet file, as the core's types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands import Policies
from crdt_core.types import MVREGISTER, ORSET, RWSET, STRING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.types import CrdtType
    from workers.config.settings import FleetSettings

__all__ = ["policies_of"]

_SETS: Mapping[str, CrdtType] = {"add-wins": ORSET, "remove-wins": RWSET}
_STRINGS: Mapping[str, CrdtType] = {"last-writer-wins": STRING, "multi-value": MVREGISTER}


def policies_of(settings: FleetSettings) -> Policies | None:
    """What the fleet file says of new keys; `None` where it says nothing."""
    said = {prefix.encode(): policy for prefix, policy in settings.policies.items()}
    if not said:
        return None
    return Policies(
        {prefix: _SETS[policy.sets] for prefix, policy in said.items() if policy.sets is not None},
        {prefix: _STRINGS[policy.strings] for prefix, policy in said.items() if policy.strings is not None},
    )

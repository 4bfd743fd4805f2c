"""Turns the policies of the fleet file into the core's `Policies`."""

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
    """Return the types that new keys get, by key prefix; `None` where the fleet file has no policies."""
    policies = {prefix.encode(): policy for prefix, policy in settings.policies.items()}
    if not policies:
        return None
    return Policies(
        {prefix: _SETS[policy.sets] for prefix, policy in policies.items() if policy.sets is not None},
        {prefix: _STRINGS[policy.strings] for prefix, policy in policies.items() if policy.strings is not None},
    )

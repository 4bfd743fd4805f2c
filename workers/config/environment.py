"""Puts the environment's settings over those of the fleet file: `DELTAIC_GOSSIP__FANOUT=3` is `fanout` of `[gossip]`.

pydantic-settings knows how a variable becomes a setting. Its import takes as long as the rest of a short command, so it
is imported only where a variable names a setting.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from crdt_core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from pydantic_settings import BaseSettings

__all__ = ["ENV_PREFIX", "NESTED", "overridden"]

ENV_PREFIX = "DELTAIC_"

NESTED = "__"
"""Separates the names of a section and of its settings in a variable."""


def overridden(content: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Return the `content` of a fleet file with the environment's settings over it, section by section.

    `model` declares the settings. Raises `SettingsError` for a variable that cannot be read as one.
    """
    if not any(_section(variable) in model.model_fields for variable in os.environ):
        return dict(content)
    from pydantic_settings import EnvSettingsSource  # noqa: PLC0415
    from pydantic_settings.exceptions import SettingsError as UnreadableVariable  # noqa: PLC0415

    declares = cast("type[BaseSettings]", model)  # of which the source reads the fields only
    source = EnvSettingsSource(declares, env_prefix=ENV_PREFIX, env_nested_delimiter=NESTED)
    try:
        return _over(content, source())
    except UnreadableVariable as error:
        raise SettingsError("in the environment", str(error)) from None


def _section(variable: str) -> str | None:
    """Return the section that `variable` would set, in whatever case it is written; `None` for other variables."""
    name = variable.upper()
    return name.removeprefix(ENV_PREFIX).split(NESTED)[0].lower() if name.startswith(ENV_PREFIX) else None


def _over(content: Mapping[str, Any], strongest: Mapping[str, Any]) -> dict[str, Any]:
    """Return `content` with `strongest` over it, and their common tables merged in the same way."""
    merged = dict(content)
    for name, value in strongest.items():
        below = merged.get(name)
        merged[name] = _over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged

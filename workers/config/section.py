"""What all sections of a fleet file share: they are frozen, refuse unknown settings, and have numbers with a bound."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Positive", "Section"]

Positive = Annotated[int, Field(ge=1, le=10**12)]
"""A number of something, of which there is at least one."""


class Section(BaseModel):
    """A section of the fleet file. It is frozen and refuses settings that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

"""The turn being made: its time, and what has come together so far to be committed and to happen then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crdt_core.node.events import Commit

if TYPE_CHECKING:
    from crdt_core.node.events import Call, Effect, ImageAsked, ImageDropped, Operation

__all__ = ["TurnContext"]


@dataclass(slots=True)
class TurnContext:
    """Whatever takes part in a turn adds to it. `calls` are the operations that will run when all else is taken in,
    after `own`, which nobody asked for but the node itself; `images` are pieces to be made when all that is done.

    `wall_ms` is for stamps and for what is shown; whoever waits for something does so by `monotonic_ms`, as wall time
    may jump.
    """

    wall_ms: int
    monotonic_ms: int
    commit: Commit = field(default_factory=Commit)
    effects: list[Effect] = field(default_factory=list)
    own: list[Operation] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    images: list[ImageAsked | ImageDropped] = field(default_factory=list)

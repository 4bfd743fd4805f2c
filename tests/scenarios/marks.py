"""What a forged job would run: it leaves a mark, by which a test sees that it ran."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

__all__ = ["VARIABLE", "Bomb", "leave"]

VARIABLE = "MARKS"
"""The environment variable with the directory of the marks."""


def leave(*_: object, **__: object) -> None:
    """Leaves a mark, whatever it is called with."""
    (Path(os.environ[VARIABLE]) / uuid4().hex).touch()


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return leave, ()

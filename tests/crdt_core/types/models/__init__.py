"""A model of each registered type: what can be done with it, what must come of that, and how it is written as JSON.

A type of `crdt_core.types.<module>` has its model in the module of the same name here, listed in the module's `MODELS`.
Nothing else lists them: the laws, the specifications, the tests of the codec, the fuzz targets and the simulator take
every type of the registry with its model.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from crdt_core.types import TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.crdt_core.types.models.model import Model

__all__ = ["MODELS"]


def _models() -> Iterator[Model]:
    for module in dict.fromkeys(type(type_).__module__.rpartition(".")[2] for type_ in TYPES.values()):
        if find_spec(f"{__name__}.{module}") is not None:
            yield from import_module(f"{__name__}.{module}").MODELS


MODELS: dict[str, Model] = {model.type.name: model for model in _models()}
"""The models by the names of their types."""

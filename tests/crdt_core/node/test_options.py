"""The options of a node: what is not set has a default that is documented where it is set (`workers.config`)."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica


def test_every_option_is_explained() -> None:
    assert NodeOptions.__doc__ is not None
    for option in fields(NodeOptions):
        assert f"`{option.name}`:" in NodeOptions.__doc__


def test_options_do_not_change_under_a_node() -> None:
    options = NodeOptions()
    with pytest.raises(FrozenInstanceError):
        options.chunk_bytes = 1  # type: ignore[misc]


def test_a_node_without_options_has_the_defaults() -> None:
    assert Node("n1", Replica("n1"), "s").options == NodeOptions()

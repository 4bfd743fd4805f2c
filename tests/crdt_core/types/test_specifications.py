"""Every type shows what its model says, from what was done and what each doer had seen.

The models are written from the published rules (docs: what concurrent operations give), not from the code. A random
history is compared after every step at the replica that acted, and at the end everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.types import TYPES
from tests.crdt_core.histories import KEYS, World, steps, values, worlds

if TYPE_CHECKING:
    from tests.crdt_core.histories import Step

pytestmark = pytest.mark.timeout(900)  # a failure is first made as small as it can be, for up to five minutes

SHOWN = [name for name, type_ in TYPES.items() if not type_.attribute]
"""The types that show, in the order in which they prevail."""


def compare(world: World, at: int) -> None:
    """Fails unless replica `at` shows exactly what it must, type conflicts and attributes included."""
    replica, wanted = world.replicas[at], world.history.shown(world.visible[at])
    assert values(replica) == wanted
    for key in KEYS:
        names = [name for name in SHOWN if (key, name) in wanted]
        assert [link.type.name for link in replica.showing(key)] == names
        assert replica.value(key) == (wanted[key, names[0]] if names else None)


def run(world: World, steps: list[Step]) -> None:
    """Runs the steps, and on to the end where everyone knows everything and has forgotten what can be forgotten."""
    world.after = compare
    world.run(steps)
    world.settle()
    world.forget_all()
    for at in range(len(world.replicas)):
        compare(world, at)


@pytest.mark.parametrize("type_name", TYPES)
@given(data=st.data(), world=worlds())
def test_one_type_shows_what_its_specification_says(type_name: str, data: st.DataObject, world: World) -> None:
    run(world, data.draw(steps([type_name])))


@given(data=st.data(), world=worlds(), types=st.lists(st.sampled_from(list(TYPES)), min_size=2, max_size=3))
def test_types_under_one_key_show_what_their_specifications_say(
    data: st.DataObject, world: World, types: list[str]
) -> None:
    run(world, data.draw(steps(types, KEYS[:1])))

"""What each type's value must be, as a comprehension over what was done and what each doer had seen.

Written from the published rules (docs: what concurrent operations give), not from the code: no siblings, no clocks, no
shares. A random history is compared after every step at the replica that acted, and at the end everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.lattice.clocks import Stamp
from crdt_core.types import TYPES
from crdt_core.types.members import Fact, Members
from tests.crdt_core.histories import KEYS, VERBS, Act, History, Operation, World, delete, steps, values, worlds

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crdt_core.histories import Step

pytestmark = pytest.mark.timeout(900)  # a failure is first made as small as it can be, for up to five minutes

NOTHING: Any = object()
"""What a spec yields where the object does not show at all."""


# The specifications: from the visible acts on one object to its value.


def removes(history: History, act: Act, acts: list[Act], *verbs: str) -> bool:
    """Whether a delete, or one of `verbs` on the same argument, has seen `act`."""
    return any(
        history.sees(other, act)
        and (
            other.operation.verb == "delete"
            or (other.operation.verb in verbs and other.operation.argument in (None, act.operation.argument))
        )
        for other in acts
    )


def counter(history: History, acts: list[Act]) -> Any:
    """The sum of the adds that no delete has seen."""
    counted = [
        act.operation.argument for act in acts if act.operation.verb == "add" and not removes(history, act, acts)
    ]
    return sum(counted) if counted else NOTHING


def observed_remove_set(history: History, acts: list[Act]) -> Any:
    """The elements with an add that no remove of that element and no delete has seen."""
    elements = {
        act.operation.argument
        for act in acts
        if act.operation.verb == "add" and not removes(history, act, acts, "remove")
    }
    return sorted(elements) if elements else NOTHING


def remove_wins_set(history: History, acts: list[Act]) -> Any:
    """The elements with an add, and without a remove, that nothing later has seen: no add or remove of it, no delete.

    A delete of what does not show does nothing.
    """
    acts = without_vain_deletes(remove_wins_set, history, acts)
    added, removed = (
        {
            act.operation.argument
            for act in acts
            if act.operation.verb == verb and not removes(history, act, acts, "add", "remove")
        }
        for verb in ("add", "remove")
    )
    return sorted(added - removed) or NOTHING


def disable_wins_flag(history: History, acts: list[Act]) -> Any:
    """Enabled if what nothing later has seen is all to enable; a delete of what does not show does nothing."""
    acts = without_vain_deletes(disable_wins_flag, history, acts)
    standing = {act.operation.verb for act in acts if not any(history.sees(other, act) for other in acts)}
    return ("enable" in standing and "disable" not in standing) or NOTHING


def without_vain_deletes(spec: Callable[[History, list[Act]], Any], history: History, acts: list[Act]) -> list[Act]:
    """`acts` without those deletes that came where nothing showed."""
    return [
        act
        for act in acts
        if act.operation.verb != "delete"
        or spec(history, [other for other in acts if history.sees(act, other)]) is not NOTHING
    ]


def enable_wins_flag(history: History, acts: list[Act]) -> Any:
    """Enabled if there is an enable that no disable and no delete has seen."""
    enables = [act for act in acts if act.operation.verb == "enable"]
    return any(not removes(history, act, acts, "disable") for act in enables) or NOTHING


def multi_value_register(history: History, acts: list[Act]) -> Any:
    """The distinct values of the writes that nothing has seen, by replica and then by commit."""
    values = [
        act.operation.argument
        for act in sorted(acts)
        if act.operation.verb == "set" and not any(history.sees(other, act) for other in acts)
    ]
    return list(dict.fromkeys(values)) or NOTHING


def last_writer_wins_register(history: History, acts: list[Act]) -> Any:
    """Among the writes that nothing has seen, the one with the largest (stamp, replica)."""
    best = last_write(history, acts)
    return best.operation.argument[0] if best else NOTHING


def last_write(history: History, acts: list[Act]) -> Act | None:
    """The write that shows among `acts`, if any."""
    effective = [act for act in acts if act.operation.verb == "delete" or stamp(history, act) is not None]
    writes = [
        act
        for act in effective
        if act.operation.verb != "delete" and not any(history.sees(other, act) for other in effective)
    ]
    return max(writes, key=lambda act: (stamp(history, act), act.dot.replica), default=None)


def stamp(history: History, write: Act) -> Stamp | None:
    """The stamp of a write: as given, or now but after what it has seen; `None` if it came too late to count."""
    found = history.stamps.get(write[:2], NOTHING)
    if found is NOTHING:
        found = history.stamps[write[:2]] = _stamp(history, write)
    return found


def _stamp(history: History, write: Act) -> Stamp | None:
    key, type_name, verb, (_, ms, *field) = write.operation
    visible = history.visible(history.seen[write.dot] | {write.dot}, key, type_name)
    visible = of_field(visible, field[0]) if field else visible
    seen = last_write(history, [act for act in visible if act.operation.verb != "add" and history.sees(write, act)])
    newest = stamp(history, seen) if seen else None
    if verb == "set_at":
        return None if newest and (ms, 0) < newest else Stamp(ms, 0)
    return max(Stamp(ms, 0), Stamp(newest.ms, newest.logical + 1)) if newest else Stamp(ms, 0)


def string(history: History, acts: list[Act]) -> Any:
    """What was last set, with the adds that no set and no delete has seen on top if it is an integer, or not there."""
    writes = [act for act in acts if act.operation.verb != "add"]
    counted = [
        act.operation.argument
        for act in acts
        if act.operation.verb == "add" and not any(history.sees(write, act) for write in writes)
    ]
    written = last_write(history, writes)
    if written is None:
        return b"%d" % sum(counted) if counted else NOTHING
    text = written.operation.argument[0]
    return text if text == b"x" else b"%d" % (int(text) + sum(counted))


def hash_of_strings(history: History, acts: list[Act]) -> Any:
    """Every field that shows as a string of its own would."""
    fields = {
        act.operation.argument[0] if act.operation.verb != "remove" else act.operation.argument
        for act in acts
        if act.operation.verb != "delete"
    }
    values = {field: string(history, of_field(acts, field)) for field in sorted(fields)}
    return {field: value for field, value in values.items() if value is not NOTHING} or NOTHING


def of_field(acts: list[Act], field: bytes) -> list[Act]:
    """What was done to one field of a hash, told as if it were a string."""
    found = []
    for act in acts:
        key, name, verb, argument = act.operation
        match verb:
            case "set" if argument[0] == field:
                found.append(act._replace(operation=Operation(key, name, "set", (*argument[1:], field))))
            case "add" if argument[0] == field:
                found.append(act._replace(operation=Operation(key, name, "add", argument[1])))
            case "remove" if argument == field:
                found.append(act._replace(operation=delete(key)))
            case "delete":
                found.append(act)
    return found


def expiry(history: History, acts: list[Act]) -> Any:
    """All that was said and that nothing has seen."""
    said = {
        act.operation.argument
        for act in acts
        if act.operation.verb == "until" and not any(history.sees(other, act) for other in acts)
    }
    return sorted(said, key=lambda until: (until.deadline_ms, until.of is not None)) or NOTHING


def members(history: History, acts: list[Act]) -> Any:
    """Of each id, what has come furthest among the facts that nothing said of it has seen, and no delete."""
    facts: dict[str, Fact] = {}
    for act in acts:
        if act.operation.verb == "say":
            part, fact = act.operation.argument
            later = [o for o in acts if o.operation.verb == "delete" or o.operation.argument[0] == part]
            if not any(history.sees(other, act) for other in later):
                facts[part.decode()] = max(fact, facts.get(part.decode(), fact))
    return Members(facts, {}) if facts else NOTHING


SPECS: dict[str, Callable[[History, list[Act]], Any]] = {
    "pncounter": counter,
    "gcounter": counter,
    "orset": observed_remove_set,
    "gset": observed_remove_set,
    "lwwregister": last_writer_wins_register,
    "mvregister": multi_value_register,
    "ewflag": enable_wins_flag,
    "rwset": remove_wins_set,
    "dwflag": disable_wins_flag,
    "members": members,
    "string": string,
    "hash": hash_of_strings,
    "expiry": expiry,
}

PREVAILING = (
    "pncounter",
    "gcounter",
    "string",
    "orset",
    "gset",
    "rwset",
    "hash",
    "lwwregister",
    "mvregister",
    "ewflag",
    "dwflag",
    "members",
)
"""The published order in which types made under one key prevail."""

ATTRIBUTES = ("expiry",)
"""The types that say something about what stands beside them, and show nothing."""


def expected(world: World, at: int) -> dict[tuple[bytes, str], Any]:
    """What replica `at` must show, from what it has seen."""
    dots, history = world.visible[at], world.history
    found = {
        (key, name): spec(history, history.visible(dots, key, name)) for key in KEYS for name, spec in SPECS.items()
    }
    return {address: value for address, value in found.items() if value is not NOTHING}


def compare(world: World, at: int) -> None:
    """Fails unless replica `at` shows exactly what it must."""
    replica, wanted = world.replicas[at], expected(world, at)
    assert values(replica) == wanted
    for key in KEYS:
        names = [name for name in PREVAILING if (key, name) in wanted]
        assert [link.type.name for link in replica.showing(key)] == names
        assert replica.value(key) == (wanted[key, names[0]] if names else None)


# The histories.


def run(world: World, steps: list[Step]) -> None:
    """Runs the steps, and on to the end where everyone knows everything and has forgotten what can be forgotten."""
    world.after = compare
    world.run(steps)
    world.settle()
    world.forget_all()
    for at in range(len(world.replicas)):
        compare(world, at)


def test_every_registered_type_has_a_specification() -> None:
    assert SPECS.keys() == TYPES.keys()
    assert VERBS.keys() == TYPES.keys()
    assert list(TYPES) == [*PREVAILING, *ATTRIBUTES]


@pytest.mark.parametrize("type_name", TYPES)
@given(data=st.data(), world=worlds())
def test_one_type_shows_what_its_specification_says(type_name: str, data: st.DataObject, world: World) -> None:
    run(world, data.draw(steps([type_name])))


@given(data=st.data(), world=worlds(), types=st.lists(st.sampled_from(list(TYPES)), min_size=2, max_size=3))
def test_types_under_one_key_show_what_their_specifications_say(
    data: st.DataObject, world: World, types: list[str]
) -> None:
    run(world, data.draw(steps(types, KEYS[:1])))

"""One run of a seed: a fleet starts, callers call, faults strike, and in the end the world comes to rest."""

from __future__ import annotations

import shlex
import traceback
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tests.sim import clients, faults, jobs, typed
from tests.sim.planted import plan_for, planted
from tests.sim.rest import bring_to_rest
from tests.sim.starting import start
from tests.sim.violation import Violation
from tests.sim.world import World, spell

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STEPS", "Run", "set_up", "simulate"]

STEPS = 1500
"""Steps per run before it is brought to rest."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did. `trace` is equal for equal runs; `failure` is the report of what went wrong, or empty.

    `broken` is the promise that was broken; it is empty also where the code under test raised an error of its own.
    """

    seed: int
    steps: int
    trace: str
    counts: Counter[str] = field(default_factory=Counter)
    failure: str = ""
    broken: str = ""


def simulate(seed: int, steps: int = STEPS, *, plant: str = "", verbose: Callable[[str], None] | None = None) -> Run:
    """Runs the world of `seed` for `steps` steps, and then to rest; `plant` names a bug to have in the code."""
    world = World(seed, plan=plan_for(plant, seed), verbose=verbose)
    failure = broken = ""
    try:
        with planted(plant):
            set_up(world)
            world.run(steps)
            bring_to_rest(world)
    except Exception as error:  # noqa: BLE001  # whatever the production code raises is what is looked for
        failure = report(world, error, replay_command(seed, steps, plant))
        broken = error.promise if isinstance(error, Violation) else ""
    for host in world.hosts.values():
        if host.process is not None:
            host.process.end()
    return Run(seed, world.steps, world.trace, world.counts, failure, broken)


def set_up(world: World) -> None:
    """Starts the fleet, and everything that goes on in it."""
    for host in world.hosts.values():
        start(host)
    world.every(world.plan.calls_every_ms, partial(clients.act, world))
    world.every(world.plan.calls_every_ms * typed.CALLS_PER_ACT, partial(typed.act, world))
    world.every(world.plan.faults_every_ms, partial(faults.strike, world))
    world.every(world.plan.jobs_every_ms, partial(jobs.job, world))


def replay_command(seed: int, steps: int, plant: str) -> str:
    """The command that runs the seed again, alone."""
    options = [f"--seed {seed}"]
    if steps != STEPS:
        options.append(f"--steps {steps}")
    if plant:
        options.append(f"--plant {shlex.quote(plant)}")
    return f"python -m tests.sim {' '.join(options)} --verbose"


def report(world: World, error: Exception, replay: str) -> str:
    """The report of a failure: what failed, where, what came before, and how to run it again."""
    place = "".join(traceback.format_exception(error)[-4:])
    return "\n".join(
        [
            f"seed {world.seed}, step {world.steps}: {type(error).__name__}: {error}",
            *map(spell, world.notes),
            place,
            f"replay it alone: {replay}",
        ]
    )

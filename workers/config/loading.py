"""Reads the settings of a fleet from its file and from the environment, once, at the entry point.

An environment variable overrides the file. A bad value or an unknown setting is a `SettingsError` that names it. The
error never shows a password.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from crdt_core.errors import SettingsError, brief
from workers.config.addresses import check_addresses
from workers.config.embedded_server import with_server_password
from workers.config.environment import ENV_PREFIX, NESTED, overridden
from workers.config.redis_url import redacted
from workers.config.settings import NODE_NAME, FleetSettings, NodeSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "CRON_NODES_VARIABLE",
    "FILE_VARIABLE",
    "PACKAGED_FILE",
    "START_FLEET",
    "check_name",
    "checked",
    "checked_node",
    "default_fleet_file",
    "load_settings",
    "with_name",
]

FILE_VARIABLE = "DELTAIC_FILE"
CRON_NODES_VARIABLE = "DELTAIC_CRON_NODES"
"""Names the nodes whose jobs `workers.jobs.schedule` registers, comma separated; `deltaic cron` sets it."""

START_FLEET = "start the fleet with `deltaic fleet` (in a checkout: `make fleet`)"
"""The remedy that errors name when nothing answers where the fleet file says."""

PACKAGED_FILE = Path(__file__).with_name("deltaic.toml")
"""The fleet file that comes with Deltaic."""


def default_fleet_file() -> Path:
    """Return the fleet file to read when the caller names none.

    It is `$DELTAIC_FILE`, else `deltaic.toml` in the working directory, else the file that comes with Deltaic.
    """
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named)
    here = Path("deltaic.toml")
    return here if here.exists() else PACKAGED_FILE


def load_settings(path: Path | None = None) -> FleetSettings:
    """Return the settings in the fleet file `path`, overridden by the environment; raises `SettingsError`.

    The URLs of nodes on the embedded server have its password.
    """
    path = path or default_fleet_file()
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(str(path), f"is not valid TOML: {error}") from error
    except RecursionError:
        raise SettingsError(str(path), "is not valid TOML: nested too deeply") from None
    _refuse_unknown_variables(os.environ)
    return with_server_password(checked(content))


def checked(content: Mapping[str, Any]) -> FleetSettings:
    """Return the settings in a fleet file's `content`, overridden by the environment; raises `SettingsError`."""
    for name in content:
        if name not in FleetSettings.model_fields:
            sections = FleetSettings.model_fields
            raise SettingsError(brief(name), f"no such section; there are {', '.join(sections)}{_near(name, sections)}")
    try:
        settings = FleetSettings.model_validate(overridden(content, FleetSettings))
    except ValidationError as error:
        raise _first_problem(
            error, FleetSettings
        ) from None  # The text of the original error quotes values, maybe a password.
    check_addresses(settings.nodes)
    return settings


def check_name(name: str) -> None:
    """Raise `SettingsError` if `name` is not allowed as the name of a node."""
    if NODE_NAME.fullmatch(name) is None:
        raise SettingsError(f"nodes.{brief(name)}", f"a node's name must match {NODE_NAME.pattern}")


def checked_node(name: str, **addresses: str | None) -> NodeSettings:
    """Return the settings of a node called `name` with the given addresses.

    `addresses` are the fields of a node's section in the fleet file. Raises `SettingsError`.
    """
    check_name(name)
    try:
        return NodeSettings(**addresses)
    except ValidationError as error:
        raise _first_problem(error, NodeSettings, f"nodes.{name}.") from None


def with_name(settings: FleetSettings, node: str, new: str) -> FleetSettings:
    """Return `settings` with the section of `node` under the name `new`, and none for `node`."""
    nodes = {name: section for name, section in settings.nodes.items() if name != node}
    return settings.model_copy(update={"nodes": nodes | {new: settings.nodes[node]}})


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    sections = FleetSettings.model_fields
    for variable in environ:
        if not variable.startswith(ENV_PREFIX) or variable in {FILE_VARIABLE, CRON_NODES_VARIABLE}:
            continue
        section = variable.removeprefix(ENV_PREFIX).split(NESTED)[0].lower()
        if section not in sections:
            near = _near(section, sections)
            raise SettingsError(variable, f"no such setting; sections are {', '.join(sections)}{near}")


def _first_problem(error: ValidationError, model: type[BaseModel], prefix: str = "") -> SettingsError:
    """Return the first problem of `error` as an error that names the setting and, if it is no secret, its value.

    `model` is what was validated.
    """
    problem: dict[str, Any] = dict(error.errors(include_url=False)[0])
    name = prefix + ".".join(str(part) for part in problem["loc"])
    value = _showable(problem["loc"], problem["input"])
    if problem["type"] == "extra_forbidden":
        near = _near(str(problem["loc"][-1]), _fields_at(model, problem["loc"][:-1]))
        return SettingsError(name, f"unknown{f' (value {value})' if value else ''}{near}")
    if problem["type"] == "missing":
        return SettingsError(name, "is missing")
    reason = problem["msg"].removeprefix("Value error, ")
    return SettingsError(name, f"{value} cannot be used: {reason}" if value else reason)


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> Iterable[str]:
    """Return the names of the settings at `location` in `model`; none where no section can be."""
    section: Any = model
    for step in location:
        if isinstance(section, type) and issubclass(section, BaseModel):
            field = section.model_fields.get(str(step))
            section = None if field is None else field.annotation
        else:
            section = next(iter(get_args(section)[1:]), None)
    return section.model_fields if isinstance(section, type) and issubclass(section, BaseModel) else ()


def _near(name: str, known: Iterable[str]) -> str:
    """Return a hint that lists the `known` names that are like `name`; empty if there is none."""
    found = difflib.get_close_matches(name, list(known))
    return f"; did you mean {' or '.join(found)}?" if found else ""


def _showable(location: tuple[int | str, ...], value: object) -> str | None:
    """Return `value` as an error may quote it, or `None` if it may be a secret or a table that holds one."""
    secret = location[0] == "security" or location[-1] in {"redis", "jobs"} or "password" in str(location[-1])
    if secret or not isinstance(value, str | int | float):
        return None
    return brief(redacted(value)) if isinstance(value, str) and "://" in value else brief(value)

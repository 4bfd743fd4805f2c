"""Reads the settings of a fleet from its file and from the environment, once, at the entry point.

An environment variable overrides the file. A bad value or an unknown setting is a `SettingsError` that names it. The
error never shows a password.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_settings.exceptions import SettingsError as UnreadableVariable

from crdt_core.errors import SettingsError, brief
from workers.config.embedded_server import with_server_password
from workers.config.redis_url import redacted
from workers.config.settings import ENV_PREFIX, NODE_NAME, FleetSettings, NodeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CRON_NODES_VARIABLE",
    "FILE_VARIABLE",
    "PACKAGED_FILE",
    "check_name",
    "checked",
    "checked_node",
    "default_fleet_file",
    "load_settings",
]

FILE_VARIABLE = "DELTAIC_FILE"
CRON_NODES_VARIABLE = "DELTAIC_CRON_NODES"
"""Names the nodes whose jobs `workers.jobs.schedule` registers, comma separated; `deltaic cron` sets it."""

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
        # The constructor has keyword arguments of its own, which a file must not set.
        if name not in FleetSettings.model_fields:
            raise SettingsError(brief(name), f"no such section; there are {', '.join(FleetSettings.model_fields)}")
    try:
        return FleetSettings(**content)
    except ValidationError as error:
        raise _first_problem(error) from None  # The text of the original error quotes values, maybe a password.
    except UnreadableVariable as error:
        raise SettingsError("in the environment", str(error)) from None


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
        raise _first_problem(error, f"nodes.{name}.") from None


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    sections = FleetSettings.model_fields
    for variable in environ:
        if not variable.startswith(ENV_PREFIX) or variable in {FILE_VARIABLE, CRON_NODES_VARIABLE}:
            continue
        section = variable.removeprefix(ENV_PREFIX).split("__")[0].lower()
        if section not in sections:
            raise SettingsError(variable, f"no such setting; sections are {', '.join(sections)}")


def _first_problem(error: ValidationError, prefix: str = "") -> SettingsError:
    """Return the first problem of `error` as an error that names the setting and, if it is no secret, its value."""
    problem: dict[str, Any] = dict(error.errors(include_url=False)[0])
    name = prefix + ".".join(str(part) for part in problem["loc"])
    value = _showable(problem["loc"], problem["input"])
    if problem["type"] == "extra_forbidden":
        return SettingsError(name, f"unknown{f' (value {value})' if value else ''}")
    if problem["type"] == "missing":
        return SettingsError(name, "is missing")
    reason = problem["msg"].removeprefix("Value error, ")
    return SettingsError(name, f"{value} cannot be used: {reason}" if value else reason)


def _showable(location: tuple[int | str, ...], value: object) -> str | None:
    """Return `value` as an error may quote it, or `None` if it may be a secret or a table that holds one."""
    secret = location[0] == "security" or location[-1] in {"redis", "jobs"} or "password" in str(location[-1])
    if secret or not isinstance(value, str | int | float):
        return None
    return brief(redacted(value)) if isinstance(value, str) and "://" in value else brief(value)

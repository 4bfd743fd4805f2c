"""`deltaic settings`: prints every setting with its value, its default and its meaning."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click
from pydantic import BaseModel
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.markup import escape
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from workers.cli.fitting import FirstThatFits
from workers.config.environment import ENV_PREFIX, NESTED
from workers.config.loading import default_fleet_file, load_settings
from workers.config.redis_url import redacted
from workers.config.settings import NodeSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo
    from rich.console import RenderableType

    from workers.config.settings import FleetSettings

__all__ = ["settings"]

_MEANING_WIDTH = 60
_INDENT = 4
_UNSET = "-"
Plain = str | int | float | bool | None


@dataclass(frozen=True)
class _Setting:
    """One setting. `variable` is the environment variable that overrides it; a `required` one has no default."""

    name: str
    value: Plain
    default: Plain
    required: bool
    description: str
    variable: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per setting.")
@click.pass_context
def settings(ctx: click.Context, as_json: bool) -> None:
    """Print all settings with values, defaults and meanings."""
    loaded = load_settings(ctx.obj)
    found = list(_settings_of(loaded))
    if as_json:
        click.echo(json.dumps([asdict(setting) for setting in found], indent=2))
        return
    console = Console()
    console.print(f"Settings of [bold]{escape(str(ctx.obj or default_fleet_file()))}[/], overridden by the environment")
    console.print(FirstThatFits(_table(found), _list(found)))
    console.print(FirstThatFits(_nodes(loaded), _node_list(loaded)))
    console.print(f"To override one: {found[0].variable}={found[0].value}")


def _rows(found: list[_Setting]) -> Iterator[tuple[str, Text, str, str]]:
    """Yield the name, the value, the default and the meaning of each setting; those of a node stand for all nodes."""
    for setting in found:
        if not setting.name.startswith("nodes."):
            value = Text(_for_people(setting.value), style="bold" if setting.value != setting.default else "")
            yield setting.name, value, _for_people(setting.default), setting.description
    for name, field in NodeSettings.model_fields.items():
        default = "(required)" if field.is_required() else _for_people(field.default)
        yield f"nodes.NAME.{name}", Text("(below)"), default, field.description or ""


def _table(found: list[_Setting]) -> Table:
    meaning = Column("meaning", min_width=_MEANING_WIDTH, max_width=_MEANING_WIDTH)
    table = Table(Column("setting", no_wrap=True), "value", "default", meaning, box=SIMPLE_HEAD, pad_edge=False)
    for row in _rows(found):
        table.add_row(*row)
    return table


def _list(found: list[_Setting]) -> Group:
    """Return what the table says, for a narrow terminal: two paragraphs for each setting."""
    lines: list[RenderableType] = [""]
    for name, value, default, meaning in _rows(found):
        other = f"  (default {default})" if value.plain != default else ""
        lines += [Text.assemble((name, "cyan"), " = ", value, (other, "dim")), Padding(meaning, (0, 0, 0, _INDENT))]
    return Group(*lines, "")


def _node_rows(loaded: FleetSettings) -> Iterator[tuple[str, list[str]]]:
    for name, node in loaded.nodes.items():
        yield name, [_for_people(_plain(getattr(node, field))) for field in NodeSettings.model_fields]


def _nodes(loaded: FleetSettings) -> Table:
    table = Table("node", *NodeSettings.model_fields, box=SIMPLE_HEAD, pad_edge=False)
    for name, values in _node_rows(loaded):
        table.add_row(name, *values)
    return table


def _node_list(loaded: FleetSettings) -> Group:
    """Return what the table says, for a narrow terminal: a paragraph for each node, without what is not set."""
    paragraphs: list[RenderableType] = []
    for name, values in _node_rows(loaded):
        fields = zip(NodeSettings.model_fields, values, strict=True)
        said = "  ".join(f"{field} {value}" for field, value in fields if value != _UNSET)
        paragraphs.append(Text.assemble((name, "cyan"), "  ", said))
    return Group(*paragraphs, "")


def _settings_of(section: BaseModel, path: tuple[str, ...] = ()) -> Iterator[_Setting]:
    """Yield every setting in `section`, which stands at `path` in the fleet file, and in its subsections."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _settings_of(value, (*path, name))
        elif isinstance(value, dict):
            for key, entry in value.items():
                yield from _settings_of(entry, (*path, name, key))
        else:
            yield _setting((*path, name), value, field)


def _setting(path: tuple[str, ...], value: object, field: FieldInfo) -> _Setting:
    return _Setting(
        name=".".join(path),
        value=_plain(value),
        default=None if field.is_required() else _plain(field.get_default(call_default_factory=True)),
        required=field.is_required(),
        description=field.description or "",
        variable=ENV_PREFIX + NESTED.join(path).upper(),
    )


def _plain(value: object) -> Plain:
    """Return `value` as JSON can hold it, and a URL without its password."""
    if isinstance(value, str) and "://" in value:
        return redacted(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _for_people(value: Plain) -> str:
    return _UNSET if value is None else str(value).lower() if isinstance(value, bool) else str(value)

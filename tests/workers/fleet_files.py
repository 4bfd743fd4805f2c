"""Fleet files for tests of the workers' rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["fleet_file", "local_fleet_file", "sections"]


def fleet_file(directory: Path, file: str = "fleet.toml", /, **nodes: Mapping[str, str]) -> Path:
    """A fleet file with the settings of each node."""
    path = directory / file
    path.write_text("\n".join(_section(f"nodes.{name}", settings) for name, settings in nodes.items()), "utf-8")
    return path


def sections(urls: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The settings of nodes without workers, whose Redis `urls` name: 127.0.0.1:1, 127.0.0.1:2, ..."""
    return {name: {"grpc": f"127.0.0.1:{port}", "redis": url} for port, (name, url) in enumerate(urls.items(), 1)}


def local_fleet_file(
    directory: Path, file: str = "fleet.toml", /, *, nodes: int = 2, **more: Mapping[str, str]
) -> Path:
    """The file of a fleet on free ports of this machine, with an embedded Valkey; `more`: settings of some nodes."""
    port = free_port()
    redis = f"redis://127.0.0.1:{port}/0"
    names = [f"n{number}" for number in range(1, nodes + 1)]
    sections = {name: {"grpc": f"127.0.0.1:{free_port()}", "redis": redis} | more.get(name, {}) for name in names}
    path = fleet_file(directory, file, **sections)
    valkey = f'[valkey]\nport = {port}\ndirectory = "{directory / "data"}"\n'
    path.write_text(path.read_text("utf-8") + valkey, "utf-8")
    return path


def _section(title: str, settings: Mapping[str, str]) -> str:
    return f"[{title}]\n" + "".join(f'{name} = "{value}"\n' for name, value in settings.items())

"""Notices when the fleet file of a running fleet has changed, or when another file has become its fleet file.

A fleet whose file nobody has named runs the file that comes with Deltaic, until a `deltaic.toml` appears in its working
directory: `deltaic node add` writes one there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.config.addresses import check_addresses
from workers.config.loading import default_fleet_file, load_settings
from workers.processes.procfile import fleet_commands

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FileWatch"]


class FileWatch:
    """A callable that returns the fleet's commands if its file has changed since the last call, else `None`.

    `named`: the fleet file, or `None` if it is the default one. Raises `SettingsError` if the changed file cannot be
    used.
    """

    def __init__(self, named: Path | None) -> None:
        self._named = named
        self._seen = self._stamp()

    def __call__(self) -> dict[str, str] | None:
        stamp = self._stamp()
        if stamp == self._seen:
            return None
        self._seen = stamp
        settings = load_settings(self._named)
        check_addresses(settings.nodes, one_machine=True)
        return fleet_commands(settings)

    def _stamp(self) -> tuple[Path, int, int] | None:
        """Return which file it is, when it was written, and its size; `None` if it cannot be read."""
        path = self._named or default_fleet_file()
        try:
            status = path.stat()
        except OSError:
            return None
        return path, status.st_mtime_ns, status.st_size

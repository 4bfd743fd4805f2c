"""Writing into the fleet file: a section for a new node, at the end, everything else as it is.

The file that comes with Deltaic is never changed: a copy beside the caller is.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from crdt_core.errors import SettingsError
from workers.settings import PACKAGED_FILE

if TYPE_CHECKING:
    from workers.settings import NodeSettings

__all__ = ["add_section", "section_of"]


def section_of(name: str, node: NodeSettings) -> str:
    """The lines that name the node."""
    values = {"grpc": node.grpc, "redis": node.redis, "bind": node.bind, "jobs": node.jobs}
    lines = [f"{field} = {json.dumps(value)}" for field, value in values.items() if value is not None]
    return "\n".join([f"[nodes.{name}]", *lines, ""])


def add_section(path: Path, name: str, node: NodeSettings) -> Path:
    """Adds the node to the fleet file `path`, or to a copy of the packaged one; the file that names it now.

    Raises `SettingsError` with the lines to add by hand where that cannot be done.
    """
    section = section_of(name, node)
    packaged = path.samefile(PACKAGED_FILE)
    try:
        before = path.read_text("utf-8")
        text = before + ("" if before.endswith("\n") else "\n") + "\n" + section
        named = tomllib.loads(text)["nodes"]
        target = Path("deltaic.toml") if packaged else path
        assert name in named
        with target.open("x" if packaged else "a", encoding="utf-8") as file:
            file.write(text if packaged else text[len(before) :])
    except (OSError, tomllib.TOMLDecodeError) as error:
        lines = section.strip().replace("\n", "; ")
        raise SettingsError(str(path), f"cannot be added to ({error}); write into it: {lines}") from error
    return target

"""Writing into the fleet file: a section for a new node, at the end, everything else as it is.

The node speaks the Redis protocol where the others do, as they do: so many ports above its gRPC port.

The file that comes with Deltaic is never changed: a copy beside the caller is.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from crdt_core.errors import SettingsError
from workers.config.settings import PACKAGED_FILE
from workers.system.ports import split_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workers.config.settings import NodeSettings

__all__ = ["add_section", "resp_beside", "section_of"]

_PORT_MAX = 65535


def resp_beside(nodes: Iterable[NodeSettings], grpc: str) -> str | None:
    """Where a node that is dialled at `grpc` speaks the Redis protocol, if it does as `nodes` do.

    `None` where some of them do not, or not all alike.

    >>> from workers.config.settings import NodeSettings
    >>> resp_beside([NodeSettings(grpc="a:7101", resp="a:7201", redis="redis://a")], "b:7106")
    'b:7206'
    """
    alike = {_beside(node, grpc) for node in nodes}
    return alike.pop() if len(alike) == 1 else None


def _beside(node: NodeSettings, grpc: str) -> str | None:
    if node.resp is None:
        return None
    (own_host, own_port), (host, port) = split_address(node.grpc), split_address(grpc)
    resp_host, resp_port = split_address(node.resp)
    wanted = port + resp_port - own_port
    if not 0 < wanted <= _PORT_MAX:
        return None
    at = host if resp_host == own_host else resp_host
    return f"[{at}]:{wanted}" if ":" in at else f"{at}:{wanted}"


def section_of(name: str, node: NodeSettings) -> str:
    """The lines that name the node."""
    values = {"grpc": node.grpc, "resp": node.resp, "redis": node.redis, "bind": node.bind, "jobs": node.jobs}
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

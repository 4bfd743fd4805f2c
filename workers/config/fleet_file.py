"""Adds the section of a new node to the end of the fleet file, and leaves the rest of the file unchanged.

If the other nodes speak the Redis protocol, so does the new one: its Redis port is as far above its gRPC port as theirs
are.

The file that comes with Deltaic is never changed. Instead, its copy with the new section is written into the working
directory.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from crdt_core.errors import SettingsError
from workers.config.loading import PACKAGED_FILE
from workers.system.ports import split_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workers.config.settings import NodeSettings

__all__ = ["add_section", "resp_beside", "section_of"]

_PORT_MAX = 65535


def resp_beside(nodes: Iterable[NodeSettings], grpc: str) -> str | None:
    """Return the address at which a new node speaks the Redis protocol, chosen as it is for `nodes`.

    `grpc` is the gRPC address of the new node. The result is `None` unless all `nodes` choose alike.

    >>> from workers.config.settings import NodeSettings
    >>> resp_beside([NodeSettings(grpc="a:7101", resp="a:7201", redis="redis://a")], "b:7106")
    'b:7206'
    """
    candidates = {_beside(node, grpc) for node in nodes}
    return candidates.pop() if len(candidates) == 1 else None


def _beside(node: NodeSettings, grpc: str) -> str | None:
    """Return the Redis address that is to `grpc` as the node's own one is to its gRPC address."""
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
    """Return the lines of the node's section, with all addresses that are set."""
    values = {"grpc": node.grpc, "resp": node.resp, "redis": node.redis, "bind": node.bind, "jobs": node.jobs}
    lines = [f"{field} = {json.dumps(value)}" for field, value in values.items() if value is not None]
    return "\n".join([f"[nodes.{name}]", *lines, ""])


def add_section(path: Path, name: str, node: NodeSettings) -> Path:
    """Add the node's section to the fleet file `path`, or to a copy of the packaged file; return the changed file.

    Raises `SettingsError` with the lines to add by hand where the file cannot be written.
    """
    section = section_of(name, node)
    packaged = path.samefile(PACKAGED_FILE)
    try:
        before = path.read_text("utf-8")
        text = before + ("" if before.endswith("\n") else "\n") + "\n" + section
        nodes = tomllib.loads(text)["nodes"]
        target = Path("deltaic.toml") if packaged else path
        assert name in nodes
        with target.open("x" if packaged else "a", encoding="utf-8") as file:
            file.write(text if packaged else text[len(before) :])
    except (OSError, tomllib.TOMLDecodeError) as error:
        lines = section.strip().replace("\n", "; ")
        raise SettingsError(str(path), f"cannot be changed ({error}); add these lines by hand: {lines}") from error
    return target

"""Refuses fleets in which two nodes share an address: one of them would answer for the other.

Clients reach each node at its `grpc` address, so no two nodes have the same one. What a node listens at must be free on
its machine. Nodes whose `grpc` addresses name one host are on one machine. A node with a `bind` address is behind
something that translates addresses, so it may be on a machine of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.errors import SettingsError
from workers.system.ports import split_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from workers.config.settings import NodeSettings

__all__ = ["check_addresses"]

_EVERYWHERE = ""


def check_addresses(nodes: Mapping[str, NodeSettings], *, one_machine: bool = False) -> None:
    """Raise `SettingsError` if two faces of `nodes` (settings by name) share an address.

    `one_machine`: all nodes run on one machine, whatever their addresses say.
    """
    owners: dict[tuple[str, str], tuple[str, str]] = {}
    for name, node in nodes.items():
        for setting, claim in _claims(name, node, one_machine=one_machine):
            owner, _ = owners.setdefault(claim, (name, setting))
            if owners[claim] != (name, setting):
                raise SettingsError(f"nodes.{name}.{setting}", f"{claim[1]} is also the address of {owner}")


def _claims(name: str, node: NodeSettings, *, one_machine: bool) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each address of the node as its setting, and the machine on which nobody else may have it."""
    yield "grpc", (_EVERYWHERE, node.grpc)
    host, _ = split_address(node.grpc)
    machine = "one machine" if one_machine else f"that of {name}" if node.bind else f"that at {host}"
    for setting, address in node.listens_at.items():
        yield setting, (machine, address)

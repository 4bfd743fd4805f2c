"""Two nodes at one address: refused wherever a fleet file is read, unless they may be on two machines."""

from __future__ import annotations

import pytest

from crdt_core.errors import SettingsError
from workers.config.addresses import check_addresses
from workers.config.loading import checked
from workers.config.settings import NodeSettings

REDIS = "redis://127.0.0.1/0"


def nodes(*addresses: dict[str, str]) -> dict[str, NodeSettings]:
    return {f"n{number}": NodeSettings(redis=REDIS, **given) for number, given in enumerate(addresses, 1)}


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ({"grpc": "a:7101"}, {"grpc": "a:7101"}, "nodes.n2.grpc: a:7101 is also the address of n1"),
        ({"grpc": "a:7101", "resp": "a:7201"}, {"grpc": "a:7201"}, "nodes.n2.grpc: a:7201 is also the address of n1"),
        ({"grpc": "a:7101", "resp": "b:1"}, {"grpc": "a:7102", "resp": "b:1"}, "nodes.n2.resp: b:1 is also"),
        ({"grpc": "a:7101"}, {"grpc": "a:7102", "resp": "a:7102"}, "nodes.n2.resp: a:7102 is also the address of n2"),
        ({"grpc": "gate:1", "bind": "0.0.0.0:7101"}, {"grpc": "gate:1", "bind": "0.0.0.0:7102"}, "nodes.n2.grpc"),
    ],
)
def test_two_faces_at_one_address_are_refused(first: dict[str, str], second: dict[str, str], refused: str) -> None:
    with pytest.raises(SettingsError, match=refused):
        check_addresses(nodes(first, second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"grpc": "a:7101", "resp": "0.0.0.0:7201"}, {"grpc": "b:7101", "resp": "0.0.0.0:7201"}),
        ({"grpc": "gate:1", "bind": "0.0.0.0:7101"}, {"grpc": "gate:2", "bind": "0.0.0.0:7101"}),
    ],
)
def test_nodes_on_two_machines_may_listen_alike_and_on_one_they_may_not(
    first: dict[str, str], second: dict[str, str]
) -> None:
    check_addresses(nodes(first, second))
    with pytest.raises(SettingsError, match=r"nodes\.n2\..* is also the address of n1"):
        check_addresses(nodes(first, second), one_machine=True)


def test_a_node_may_say_that_it_listens_where_clients_reach_it() -> None:
    check_addresses(nodes({"grpc": "a:7101", "bind": "a:7101"}), one_machine=True)


def test_a_fleet_file_with_two_nodes_at_one_address_is_refused_by_all_who_read_it() -> None:
    node = {"grpc": "127.0.0.1:7101", "redis": REDIS}
    with pytest.raises(SettingsError, match=r"nodes\.n2\.grpc: 127\.0\.0\.1:7101 is also the address of n1"):
        checked({"nodes": {"n1": node, "n2": node}})

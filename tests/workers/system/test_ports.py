"""Reserving ports, naming who holds them, and asking whether they are served."""

from __future__ import annotations

import os
import socket

import pytest

from crdt_core.errors import SettingsError
from tests.support import LINUX, free_port
from workers.system.ports import PortTaken, accepts_connections, is_loopback, reserve_port, split_address


def test_a_reserved_port_is_not_served_and_is_there_for_the_server_that_wants_it() -> None:
    port = free_port()
    with reserve_port("127.0.0.1", port, wanted_by="one", setting="none"):
        assert not accepts_connections("127.0.0.1", port)
        with socket.create_server(("127.0.0.1", port)):
            assert accepts_connections("127.0.0.1", port)


def test_any_port_may_be_asked_for() -> None:
    one, other = (reserve_port("127.0.0.1", 0, wanted_by="a test", setting="none") for _ in range(2))
    with one, other:
        assert one.getsockname()[1] != other.getsockname()[1]


def test_a_port_on_which_somebody_listens_is_taken() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTaken) as taken:
        reserve_port("127.0.0.1", port, wanted_by="another", setting="nodes.n1.grpc")
    assert (taken.value.port, taken.value.wanted_by, taken.value.setting) == (port, "another", "nodes.n1.grpc")


@LINUX
def test_a_taken_port_names_who_holds_it() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTaken, match=f"pid {os.getpid()}"):
        reserve_port("127.0.0.1", port, wanted_by="a test", setting="none")


def test_an_address_of_another_machine_is_a_matter_of_settings() -> None:
    with pytest.raises(SettingsError, match=r"nodes\.n1\.grpc: 192\.0\.2\.1:7101 cannot be bound on this machine"):
        reserve_port("192.0.2.1", 7101, wanted_by="replica n1", setting="nodes.n1.grpc")


def test_a_name_that_means_nothing_is_a_matter_of_settings() -> None:
    with pytest.raises(SettingsError, match=r"nodes\.n1\.grpc: no-such-host\.invalid cannot be resolved"):
        reserve_port("no-such-host.invalid", 7101, wanted_by="replica n1", setting="nodes.n1.grpc")


def test_a_port_is_served_while_somebody_listens() -> None:
    port = free_port()
    assert not accepts_connections("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)):
        assert accepts_connections("127.0.0.1", port)
    assert not accepts_connections("127.0.0.1", port)


@pytest.mark.parametrize(
    ("address", "parts"),
    [("127.0.0.1:7101", ("127.0.0.1", 7101)), ("[::1]:1", ("::1", 1)), ("n1.example:65535", ("n1.example", 65535))],
)
def test_an_address_is_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


def test_only_loopback_addresses_cannot_be_reached_from_elsewhere() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.0.2.1", "no-such-host.invalid")] == [False] * 4

"""What listens where."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.scenarios.secured import family
from tests.support import DELTAIC, LINUX, free_port, plain_environment, wait_until
from workers.system.ports import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator


@LINUX
def test_a_fleet_listens_on_this_machine_only(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(5)]
    nodes = "".join(
        f'[nodes.n{i}]\ngrpc = "127.0.0.1:{grpc}"\nresp = "127.0.0.1:{resp}"\nredis = "redis://127.0.0.1:{ports[4]}/0"\n'
        for i, (grpc, resp) in enumerate((ports[:2], ports[2:4]), 1)
    )
    file = tmp_path / "fleet.toml"
    file.write_text(f'{nodes}[valkey]\nport = {ports[4]}\ndirectory = "{tmp_path}/valkey"\n', "utf-8")
    with (tmp_path / "fleet.log").open("wb") as log:
        fleet = subprocess.Popen(
            [DELTAIC, "-f", file, "fleet"], cwd=tmp_path, env=plain_environment(), stdout=log, stderr=log, text=True
        )
    try:
        wait_until(lambda: "replicas are up" in (tmp_path / "fleet.log").read_text("utf-8"), 60, "the fleet")
        listening = {port: host for pid in family(fleet.pid) for host, port in listened_at(pid)}
        assert set(ports) <= listening.keys()
        assert {host for host in listening.values() if not is_loopback(host)} == set()
    finally:
        fleet.terminate()
        fleet.wait(30)


def listened_at(pid: int) -> list[tuple[str, int]]:
    """Host and port of every TCP socket that the process listens on; none where it has just ended."""
    if not Path(f"/proc/{pid}/fd").exists():
        return []
    inodes = {link.partition("socket:[")[2].rstrip("]") for link in _links(pid) if link.startswith("socket:")}
    found = []
    for table, version in (("tcp", 4), ("tcp6", 6)):
        for row in Path(f"/proc/{pid}/net/{table}").read_text("ascii").splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and fields[9] in inodes:
                host, port = fields[1].split(":")
                found.append((_host(host, version), int(port, 16)))
    return found


def _links(pid: int) -> Iterator[str]:
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield os.readlink(handle)
        except OSError:
            continue


def _host(digits: str, version: int) -> str:
    """An address of `/proc/net/tcp`: words of 32 bits, each in the machine's own order."""
    words = [int(digits[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(digits), 8)]
    address = ipaddress.ip_address(b"".join(words))
    assert address.version == version
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)

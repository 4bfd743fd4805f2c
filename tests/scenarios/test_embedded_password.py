"""The embedded server with a password: the whole fleet uses it, and a caller without it is refused."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from tests.scenarios.secured import family
from tests.support import DELTAIC, LINUX, free_port, plain_environment, wait_until
from tests.workers.fleet_files import local_fleet_file
from workers.config.loading import load_settings
from workers.wire.keys import queue_name

SECRET = 'em"bedded\\s3cret#%'  # noqa: S105


def run(path: Path, *arguments: str) -> str:
    done = subprocess.run(
        [DELTAIC, "-f", path, *arguments],
        env=plain_environment(),
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@LINUX
def test_a_fleet_whose_embedded_server_has_a_password(tmp_path: Path) -> None:
    path = local_fleet_file(tmp_path)
    (tmp_path / "password").write_text(SECRET + "\n", "ascii")
    path.write_text(
        path.read_text("utf-8") + f'password_file = "{tmp_path}/password"\n[gossip]\ninterval_s = 1\n', "utf-8"
    )
    log = tmp_path / "fleet.log"
    with ExitStack() as stack:
        fleet = subprocess.Popen(
            [DELTAIC, "-f", path, "fleet"],
            cwd=tmp_path,
            env=plain_environment(),
            stdout=stack.enter_context(log.open("wb")),
            stderr=subprocess.STDOUT,
        )
        stack.callback(fleet.wait, 30)
        stack.callback(fleet.terminate)
        wait_until(lambda: "replicas are up" in log.read_text("utf-8"), 60, f"the fleet:\n{log.read_text('utf-8')}")
        port = load_settings(path).valkey.port
        for stranger in (Redis(port=port), Redis(port=port, password="a guess")):  # noqa: S106
            with stranger, pytest.raises(AuthenticationError):
                stranger.set("deltaic:{n1}", "mine")
        with Redis(port=port, password=SECRET) as owner:
            assert run(path, "incr", "hits", "2") == "n1: hits = 2\n"
            wait_until(lambda: owner.zcard(f"rq:finished:{queue_name('n2')}"), 30, f"a job:\n{log.read_text('utf-8')}")
            new = ("--grpc", f"127.0.0.1:{free_port()}", "--redis", f"redis://127.0.0.1:{port}/0")
            assert "n3 is now a member" in run(path, "node", "add", "n3", *new)
            assert "n3: hits = 3" in run(path, "incr", "hits", "--node", "n3")
            shown = [Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace") for pid in family(fleet.pid)]
            kept = [owner.dump(key) or b"" for key in owner.scan_iter("deltaic:*")]
        assert kept
        assert not any(b"s3cret" in content for content in kept)
        assert "s3cret" not in " ".join([*shown, log.read_text("utf-8"), run(path, "settings", "--json")])

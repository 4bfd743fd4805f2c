"""Completion in real shells: what a person gets who presses Tab."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.support import DELTAIC, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMPT = "ready> "


class Terminal:
    """An interactive bash that completes `deltaic`, and what it has shown so far."""

    def __init__(self, home: Path, bash: str) -> None:
        startup = home / "startup"
        startup.write_text(
            f"PS1='{PROMPT}'\nbind 'set enable-bracketed-paste off'\neval \"$(deltaic completion bash)\"\n"
        )
        self._screen, slave = pty.openpty()
        self._process = subprocess.Popen(
            [bash, "--noprofile", "--rcfile", startup, "-i"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={"PATH": f"{DELTAIC.parent}:{os.environ['PATH']}", "HOME": str(home), "TERM": "dumb", "COLUMNS": "200"},
        )
        os.close(slave)
        self._shown = ""
        try:
            self.wait_for(PROMPT)
        except BaseException:
            self.close()
            raise

    def type(self, text: str) -> None:
        self._shown = ""
        os.write(self._screen, text.encode())

    def wait_for(self, text: str, timeout_s: float = 60) -> str:
        """What is shown, once `text` is."""
        deadline_s = time.monotonic() + timeout_s
        while text not in self._shown:
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"waited in vain for {text!r} in {self._shown!r}"
            if select.select([self._screen], [], [], left_s)[0]:
                self._shown += os.read(self._screen, 4096).decode().replace("\a", "")
        return self._shown

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._screen)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, program("bash", "bash"))
    yield terminal
    terminal.close()


def test_tab_completes_a_command(terminal: Terminal) -> None:
    terminal.type("deltaic stat\t")
    assert "deltaic status " in terminal.wait_for("status ")


def test_tab_twice_lists_the_commands_that_begin_so(terminal: Terminal) -> None:
    terminal.type("deltaic re\t\t")
    shown = terminal.wait_for("restore")
    assert {"remove", "replica", "restore"} <= set(shown.split())


def test_tab_completes_subcommands_and_options(terminal: Terminal) -> None:
    terminal.type("deltaic node rem\t")
    terminal.wait_for("remove ")
    terminal.type("--dry\t")
    terminal.wait_for("--dry-run ")


@pytest.mark.parametrize(("shell", "first"), [("bash", "_deltaic_completion() {"), ("zsh", "#compdef deltaic"),
    ("fish", "function _deltaic_completion;")])  # fmt: skip
def test_every_shell_has_a_script(shell: str, first: str) -> None:
    script = subprocess.run([DELTAIC, "completion", shell], capture_output=True, text=True, check=True).stdout
    assert script.startswith(first)
    assert subprocess.run([program(shell, shell), "-n"], input=script, text=True, capture_output=True).stderr == ""


def test_a_shell_that_is_not_known_is_refused() -> None:
    refused = subprocess.run([DELTAIC, "completion", "cmd"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert re.search("'cmd' is not one of 'bash', 'zsh', 'fish'", refused.stderr)

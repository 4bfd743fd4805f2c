"""The keeper: a death is mended, an end that was asked for is an end, and nothing outlives it."""

from __future__ import annotations

import os
import signal
import sys
from itertools import pairwise

import pytest

from tests.support import DELTAIC, LINUX, wait_until
from tests.workers.processes.programs import children, is_alive
from workers.processes.supervision import Backoff, outcome


@pytest.fixture
def keep(start):
    """Starts `deltaic keep -- sh -c SCRIPT`. It hears SIGHUP also if these tests run under nohup."""
    usual = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)}
    return lambda script: start(DELTAIC, "keep", "--", "sh", "-c", script, **usual)


def test_a_child_that_dies_is_started_again(keep, tmp_path):
    kept = keep("echo $$ >> pids; exec sleep 1000")
    first = wait_until(lambda: (tmp_path / "pids").read_text().split(), what="the first child")
    os.kill(int(first[0]), signal.SIGKILL)
    second = wait_until(lambda: (tmp_path / "pids").read_text().split()[1:], what="the second child")
    assert second != first
    assert kept.text.count("ended with signal SIGKILL; starting it again in 0.") == 1
    assert "Traceback" not in kept.text


def test_the_pauses_grow_and_a_long_life_makes_them_short_again():
    backoff = Backoff()
    pauses = [backoff.after_s(0.1) for _ in range(10)]
    assert 0.2 <= pauses[0] <= 0.4
    assert all(later > earlier for earlier, later in pairwise(pauses[:6]))
    assert max(pauses) <= 10.2
    assert backoff.after_s(60) <= 0.4


@pytest.mark.parametrize("code", [0, 2])
def test_an_end_that_another_try_does_not_change_is_the_end(keep, code):
    kept = keep(f"echo ran; exit {code}")
    assert kept.ends() == code
    assert kept.text.count("ran\n") == 1


def test_a_command_that_is_not_there_is_said_in_one_line(start):
    kept = start(DELTAIC, "keep", "--", "no-such-command")
    assert kept.ends() == 2
    assert kept.text == "deltaic: COMMAND: no-such-command cannot be run: No such file or directory\n"


@pytest.mark.parametrize("code", [4, 5])
def test_a_replica_that_runs_elsewhere_is_left_alone(keep, code):
    kept = keep(f"echo ran; exit {code}")
    kept.shows("another process runs this replica")
    kept.process.terminate()
    assert kept.ends() == code
    assert kept.text.count("ran\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_passed_on_once_and_ends_both(keep, number):
    """As Ctrl-C does it: the whole process group of the terminal gets the signal."""
    name = number.name.removeprefix("SIG")
    kept = keep(f"trap 'echo told; exit 7' {name}; echo ready; while :; do sleep 0.05; done")
    kept.shows("ready")
    os.killpg(kept.process.pid, number)
    assert kept.ends() == 7
    assert kept.text == "ready\ntold\n"


def test_a_signal_during_the_pause_ends_the_keeper(keep):
    kept = keep("exit 3")
    kept.shows("starting it again in 1.")  # the third pause: time enough
    kept.process.terminate()
    assert kept.ends() == 3
    assert "Traceback" not in kept.text


def test_a_child_that_does_not_listen_is_killed(start):
    stubborn = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    script = (
        "import sys\nfrom workers.processes.supervision import Keeper\n"
        f"sys.exit(Keeper(['sh', '-c', {stubborn!r}], say=print, grace_s=0.2).run())"
    )
    kept = start(sys.executable, "-u", "-c", script)
    kept.shows("ready")
    kept.process.terminate()
    assert kept.ends() == 128 + signal.SIGKILL
    assert "does not end; killing it" in kept.text


@LINUX
def test_a_killed_keeper_takes_its_child_along(keep, tmp_path):
    kept = keep("echo $$ > pid; exec sleep 1000")
    child = int(wait_until((tmp_path / "pid").read_text, what="the child"))
    kept.process.kill()
    wait_until(lambda: not is_alive(child), what="the end of the child")


@LINUX
def test_a_keeper_ends_with_the_process_that_started_it(start, tmp_path):
    runner = start("sh", "-c", f"{DELTAIC} keep -- sh -c 'echo $$ > pid; exec sleep 1000'; true")
    child = int(wait_until((tmp_path / "pid").read_text, what="the child"))
    keeper = children(runner.process.pid)
    runner.process.kill()
    wait_until(lambda: not any(map(is_alive, [child, *keeper])), what="the end of the keeper and its child")


@LINUX
def test_what_a_dead_child_had_started_is_swept_up(keep, tmp_path):
    keep("echo $$ >> pids; sleep 1000 & echo $! >> orphans; wait")
    child = int(wait_until(lambda: (tmp_path / "pids").read_text().split(), what="the child")[0])
    orphan = int(wait_until(lambda: (tmp_path / "orphans").read_text().split(), what="its child")[0])
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not is_alive(orphan), what="the end of the orphan")


def test_an_outcome_is_said_in_words():
    assert outcome(0) == "ended with code 0"
    assert outcome(-signal.SIGTERM) == "ended with signal SIGTERM"
    assert outcome(-999) == "ended with signal 999"

"""What a test does where this machine lacks what it needs."""

from __future__ import annotations

import os

import pytest

from tests.support import give_up, plain_environment, program


def test_a_test_gives_up_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="there is no moon"):
        give_up("there is no moon")


def test_in_ci_that_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="there is no moon; in CI that is a failure"):
        give_up("there is no moon")


@pytest.mark.parametrize("value", ["", "false", "0"])
def test_ci_may_be_switched_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.skip.Exception):
        give_up("for no reason")


def test_a_program_that_is_not_here_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert program("sh", "dash").endswith("/sh")
    with pytest.raises(pytest.skip.Exception, match=r"no-such-shell is not on this machine \(Debian: nothing\)"):
        program("no-such-shell", "nothing")


def test_the_settings_of_this_shell_are_none_of_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAIC_FILE", "/elsewhere")
    assert plain_environment() == {name: value for name, value in os.environ.items() if name != "DELTAIC_FILE"}

"""The rule of the tests that need a container engine: skip where there is none, fail in CI."""

from __future__ import annotations

import pytest

from tests.containers.engine import engine_version


@pytest.fixture
def _no_engine(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")


@pytest.mark.usefixtures("_no_engine")
def test_without_an_engine_the_tests_skip_and_say_why(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"no container engine: ."):
        engine_version()


@pytest.mark.usefixtures("_no_engine")
def test_without_an_engine_the_tests_fail_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"no container engine.*in CI that is a failure"):
        engine_version()

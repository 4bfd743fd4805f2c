"""docs/guarantees.md names settings, files and tests: they are there."""

from __future__ import annotations

import re
from pathlib import Path

from workers.config.settings import FleetSettings

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "docs" / "guarantees.md").read_text("utf-8")


def test_every_test_that_holds_a_promise_exists() -> None:
    sources = "".join(file.read_text("utf-8") for file in TESTS.rglob("*.py"))
    named = re.findall(r"`(test_\w+)`", TEXT)
    assert len(named) > 10
    assert [name for name in named if f"def {name}(" not in sources] == []
    files = re.findall(r"`([\w/]+\.py)`", TEXT)
    assert [file for file in files if not (TESTS / file).exists()] == []


def test_every_setting_that_is_named_exists() -> None:
    sections = FleetSettings.model_fields
    for section, name in re.findall(r"`(limits|gossip|clock|security)\.(\w+)`", TEXT):
        assert name in type(sections[section].default).model_fields, f"{section}.{name}"

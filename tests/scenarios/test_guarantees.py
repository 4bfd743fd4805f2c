"""docs/guarantees.md names settings, files and tests: they are there."""

from __future__ import annotations

import re
from pathlib import Path

from workers.config.settings import FleetSettings

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "docs" / "guarantees.md").read_text("utf-8")


def named_tests(text: str) -> list[tuple[str, str]]:
    """Every test that a page names, with the file that it names last before; an empty name for a file of many tests."""
    found, file = [], ""
    for path, name in re.findall(r"`([\w/]+\.py)`|`(test_\w+)`", text):
        file = path or file
        found.append((file, name))
    return found


def missing(text: str) -> list[tuple[str, str]]:
    """The files that are not there, and the tests that are not in the file with which they are named."""
    sources = {file: (TESTS / file).read_text("utf-8") for file, _ in named_tests(text) if (TESTS / file).is_file()}
    return [
        (file, name)
        for file, name in named_tests(text)
        if file not in sources or (name and f"def {name}(" not in sources[file])
    ]


def test_every_test_that_holds_a_promise_is_in_the_file_with_which_it_is_named() -> None:
    assert len([name for _, name in named_tests(TEXT) if name]) > 10
    assert missing(TEXT) == []


def test_a_test_that_is_in_another_file_than_the_page_says_is_noticed() -> None:
    """Any file of the tests satisfied the check."""
    here, name = "scenarios/test_guarantees.py", "test_every_setting_that_is_named_exists"
    assert missing(f"`{here}` `{name}`") == []
    assert missing(f"`scenarios/test_crash.py` `{name}`") == [("scenarios/test_crash.py", name)]
    assert missing(f"`scenarios/test_none.py`, `{here}` `test_none`") == [
        ("scenarios/test_none.py", ""),
        (here, "test_none"),
    ]


def test_every_setting_that_is_named_exists() -> None:
    sections = FleetSettings.model_fields
    for section, name in re.findall(r"`(limits|gossip|clock|security)\.(\w+)`", TEXT):
        assert name in type(sections[section].default).model_fields, f"{section}.{name}"

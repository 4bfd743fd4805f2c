"""How values are put into words: short, in one number, and harmless to a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pytest

from tests.workers.cli.views import SHOWN, view
from workers.cli.words import age, elements_of, faint, printable, shape_of, size, value_words, view_json, word

if TYPE_CHECKING:
    from workers.rpc.client import KeyView


def test_spans_and_sizes_are_one_number() -> None:
    spans = [0, 999, 1000, 59_999, 60_000, 3_600_000, 47 * 3_600_000, 48 * 3_600_000]
    assert [age(ms) for ms in spans] == ["0ms", "999ms", "1.0s", "60.0s", "1min", "1h", "47h", "2d"]
    assert [size(count) for count in (0, 999, 1000, 999_999, 1_000_000)] == ["0 B", "999 B", "1 kB", "999 kB", "1.0 MB"]


def test_text_is_shortened_and_obeyed_by_no_terminal() -> None:
    assert printable("\x1b]0;title\x07") == r"\x1b]0;title\x07"
    assert printable("x" * 201) == "x" * 200 + "... (201 characters)"
    assert printable("héllo") == "héllo"


@pytest.mark.parametrize(
    ("value", "shown"),
    [("fig", "fig"), ("big pear", '"big pear"'), ("", '""'), ("a,b", '"a,b"'), (7, "7"), (["x"], r'"[\"x\"]"')],
)
def test_a_value_is_one_word(value: Any, shown: str) -> None:
    assert word(value) == shown


@pytest.mark.parametrize(("found", "shown"), SHOWN)
def test_a_value_is_shown_by_what_it_means_in_words(found: KeyView, shown: str) -> None:
    assert value_words(found) == shown


def test_a_type_of_a_later_version_is_shown_as_a_plain_value() -> None:
    found = view("tree", ["x"])
    assert (elements_of(found), value_words(found)) == ({}, word(["x"]))
    assert shape_of(found) is shape_of(view("pncounter", 1))


def test_faint_letters_are_for_terminals_that_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert faint("n1: ") == "\x1b[2mn1: \x1b[0m"
    assert click.unstyle(faint("n1: ")) == "n1: "
    monkeypatch.setenv("TERM", "dumb")
    assert faint("n1: ") == "n1: "


def test_a_view_is_json_with_null_for_no_type() -> None:
    assert view_json(view("", None)) == {"type": None, "value": None, "conflicts": [], "siblings": {}}
    assert view_json(view("orset", ["fig"], "gset"))["conflicts"] == ["gset"]

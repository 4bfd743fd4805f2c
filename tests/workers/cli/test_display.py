"""How values are shown to people: short, in one number, and harmless to a terminal."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from workers.cli.display import age, printable, size, value_text, views_table, word
from workers.rpc.client import KeyView, NodeUnavailable


def view(type_: str, value: Any, siblings: dict[str, Any] | None = None, *conflicts: str) -> KeyView:
    return KeyView(type_, value, siblings or {}, conflicts)


def text(renderable: Any) -> list[str]:
    console = Console(width=140)
    with console.capture() as captured:
        console.print(renderable)
    return [line.rstrip() for line in captured.get().splitlines()]


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


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (view("", None), "no such key"),
        (view("pncounter", 3), "3"),
        (view("mvregister", ["tea", "green tea"]), 'tea | "green tea"'),
        (view("ewflag", True), "enabled"),
        (view("dwflag", False), "disabled"),
        (view("orset", ["fig", "apple"]), "{fig, apple}"),
        (view("gset", []), "{}"),
    ],
)
def test_a_value_is_shown_by_what_it_means(found: KeyView, shown: str) -> None:
    assert value_text(found).plain == shown


def test_of_a_set_what_differs_from_the_others_is_told_and_what_is_common_is_cut_short() -> None:
    many = [f"m{number:02}" for number in range(20)]
    mine, other = view("orset", [*many, "fig"]), view("orset", [*many, "kiwi"])
    shown = value_text(mine, [mine, other]).plain
    assert shown.startswith("{m00, m01, ")
    assert shown.endswith("m11, ... 8 more that all have, fig} lacks kiwi")
    assert value_text(mine).plain.endswith("m19, fig}")


def test_every_node_s_view_has_a_row_and_one_that_is_away_says_why() -> None:
    views = {
        "n1": view("orset", ["fig"], None, "gset"),
        "n2": view("orset", ["fig", "apple"]),
        "n3": NodeUnavailable("n3", "h:1", "no answer"),
    }
    lines = text(views_table(views))
    assert [line.split() for line in lines[2:5]] == [
        ["n1", "orset", "/", "gset", "{fig}", "lacks", "apple"],
        ["n2", "orset", "{fig,", "apple}"],
        ["n3", "?", "unreachable:", "no", "answer"],
    ]
    assert lines[-1] == "written concurrently as another type too; hidden: gset"


def test_dots_are_shown_on_demand() -> None:
    found = view("orset", ["fig"], {"fig": {"n1:7": True}, "apple": {"n2:3": None}, "": {"n1:1": ["x", 1]}})
    lines = text(views_table({"n1": found}, dots=True))
    assert [line.rpartition("  ")[2].strip() for line in lines[2:5]] == [
        "fig: n1:7",
        "apple: n2:3 removed",
        'n1:1 ["x", 1]',
    ]

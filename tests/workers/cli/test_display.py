"""How values are shown to people: short, in one number, and harmless to a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from tests.workers.cli.views import SHOWN, view
from workers.cli.display import value_text, views_table
from workers.rpc.client import NodeUnavailable

if TYPE_CHECKING:
    from workers.rpc.client import KeyView


def text(renderable: Any) -> list[str]:
    console = Console(width=140)
    with console.capture() as captured:
        console.print(renderable)
    return [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize(("found", "shown"), SHOWN)
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
        "n1": view("orset", ["fig"], "gset"),
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
    found = view("orset", ["fig"], siblings={"fig": {"n1:7": True}, "apple": {"n2:3": None}, "": {"n1:1": ["x", 1]}})
    lines = text(views_table({"n1": found}, dots=True))
    assert [line.rpartition("  ")[2].strip() for line in lines[2:5]] == [
        "fig: n1:7",
        "apple: n2:3 removed",
        'n1:1 ["x", 1]',
    ]

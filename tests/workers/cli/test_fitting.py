"""What is shown depends on the width of the terminal."""

from __future__ import annotations

import pytest
from rich.console import Console

from workers.cli.fitting import FirstThatFits


@pytest.mark.parametrize(
    ("width", "shown"), [(40, "a whole sentence"), (16, "a whole sentence"), (15, "a word"), (6, "a word"), (5, "-")]
)
def test_the_first_variant_that_fits_is_shown(width: int, shown: str) -> None:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(FirstThatFits("a whole sentence", "a word", "-"))
    assert captured.get() == f"{shown}\n"


def test_the_last_variant_is_shown_where_none_fits() -> None:
    console = Console(width=3)
    with console.capture() as captured:
        console.print(FirstThatFits("a whole sentence", "a word"))
    assert captured.get() == "a \nwor\nd\n"

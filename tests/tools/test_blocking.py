"""Making the blocking client: no word of asyncio is left, and the files are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tools import blocking
from tools.blocking import MADE, PACKAGE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("source", MADE.values())
def test_no_word_of_asyncio_is_left(source: str) -> None:
    comment, text = blocking.blocking(source).split("\n", 1)
    assert source in comment
    assert not [word for word in ("sync", "await") if word in text]


def test_the_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for source in MADE.values():
        (tmp_path / source).write_text((PACKAGE / source).read_text())
    monkeypatch.setattr(blocking, "PACKAGE", tmp_path)
    blocking.main()
    assert {name: (tmp_path / name).read_text() for name in MADE} == {n: (PACKAGE / n).read_text() for n in MADE}
